"""Where the package's data lie: the sample catalogue, the shipped bundle, what taggers learn from (see NOTICE)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def sample_file(name: str) -> Path:
    """`products.jsonl.gz`, `queries.tsv` or `judgments.tsv` of the sample catalogue, Icecat's.

    >>> sample_file("queries.tsv").is_file()
    True
    """
    return _folder("sample") / name


def default_bundle() -> Path:
    """The bundle that is shipped with the package."""
    return _folder("bundle")


def tagging_data() -> Path:
    """The texts with marked values that taggers learn from: folders `queryner` and `oa_mine`."""
    return _folder("tagging")


def _folder(name: str) -> Path:
    return Path(str(resources.files("gram_os"))) / "data" / name
