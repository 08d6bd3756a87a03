"""The sample catalogue that is shipped: Icecat products, judged queries (see NOTICE)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def sample_file(name: str) -> Path:
    """Path of `products.jsonl.gz`, `queries.tsv` or `judgments.tsv`."""
    return Path(str(resources.files("gram_os"))) / "data" / "sample" / name
