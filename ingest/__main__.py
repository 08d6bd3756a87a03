"""The ingest process: `python -m ingest` codes and follows the indices of its settings.

It is `gram-os watch` with the settings of this folder, unless GRAM_OS_CONFIG names others.
"""

import os
import sys
from pathlib import Path

from gram_os.cli.main import main

if __name__ == "__main__":
    os.environ.setdefault("GRAM_OS_CONFIG", str(Path(__file__).with_name("settings.toml")))
    sys.exit(main(["watch", *sys.argv[1:]]))
