"""Paths of the package's data: sample catalogue, shipped bundle, texts that taggers are trained on (see NOTICE)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def sample_file(name: str) -> Path:
    """Return the path of `products.jsonl.gz`, `queries.tsv` or `judgments.tsv` of the sample catalogue (Icecat).

    >>> sample_file("queries.tsv").is_file()
    True
    """
    return _folder("sample") / name


def default_bundle() -> Path:
    """Return the folder of the shipped bundle."""
    return _folder("bundle")


def tagging_data() -> Path:
    """Return the folder of the texts with marked values that taggers are trained on: `queryner` and `oa_mine`."""
    return _folder("tagging")


def _folder(name: str) -> Path:
    return Path(str(resources.files("gram_os"))) / "data" / name
