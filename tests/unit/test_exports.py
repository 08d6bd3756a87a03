"""The public face: what `gram_os` exports is written down, so that it changes only on purpose."""

from __future__ import annotations

import tomllib
from pathlib import Path

import gram_os

FROZEN = [
    "AttributeType",
    "Cluster",
    "Code",
    "CodedText",
    "Generator",
    "GramError",
    "Mode",
    "Product",
    "QueryCoder",
    "QueryPipeline",
    "ScoredCode",
    "Settings",
    "TypedValue",
    "__version__",
    "backfill",
    "load_generator",
    "load_settings",
    "open_pipeline",
]


def test_exports_are_sorted_frozen_and_there() -> None:
    assert gram_os.__all__ == sorted(gram_os.__all__)
    assert gram_os.__all__ == FROZEN
    for name in gram_os.__all__:
        assert getattr(gram_os, name) is not None


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert gram_os.__version__ == project["project"]["version"]
