"""Which fields a write from `_source` would take out of the index. `test_lost_fields.py` asks a node the same."""

from __future__ import annotations

from typing import Any

import pytest

from gram_os.cluster.source_filter import find_lost_fields, read_source_filter

NUMBER, TEXT, WORD = {"type": "long"}, {"type": "text"}, {"type": "keyword"}
PROPERTIES: dict[str, Any] = {
    "title": {**TEXT, "fields": {"raw": WORD}},
    "popularity": NUMBER,
    "specs": {"properties": {"colour": WORD, "weight": NUMBER}},
    "offers": {"type": "nested", "properties": {"price": NUMBER}},
    "attributes": {"type": "flat_object"},
    "blob": {"type": "binary"},
    "unsearched": {"type": "object", "enabled": False},
    "hidden": {"type": "keyword", "index": False, "doc_values": False},
    "stored": {"type": "keyword", "index": False, "doc_values": False, "store": True},
    "other": {"type": "alias", "path": "popularity"},
}
ALL = ["title", "popularity", "specs.colour", "specs.weight", "offers.price", "attributes", "stored"]


def _mapping(**source: Any) -> dict[str, Any]:
    return {"_source": source, "properties": PROPERTIES}


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ({}, []),
        ({"enabled": True, "includes": [], "excludes": []}, []),
        ({"enabled": False}, ALL),
        ({"excludes": ["popularity"]}, ["popularity"]),
        ({"excludes": ["specs"]}, ["specs.colour", "specs.weight"]),
        ({"excludes": ["specs.*", "*.price"]}, ["specs.colour", "specs.weight", "offers.price", "attributes"]),
        ({"excludes": ["*lo*"]}, ["specs.colour", "attributes"]),
        ({"excludes": ["attributes.blob"]}, ["attributes"]),
        ({"excludes": ["attributes_of_old", "vec*"]}, []),
        ({"excludes": ["title.raw"]}, []),
        ({"excludes": ["blob", "unsearched", "hidden", "other"]}, []),
        ({"excludes": ["*"]}, ALL),
        ({"includes": ["*"]}, []),
        ({"includes": ["title", "specs", "offers.*", "attributes", "stored"]}, ["popularity"]),
        ({"includes": ["t*", "p*", "*.*"], "excludes": ["specs.weight"]}, ["specs.weight", "attributes", "stored"]),
    ],
)
def test_fields_that_would_be_lost(source: dict[str, Any], lost: list[str]) -> None:
    assert find_lost_fields(_mapping(**source)) == lost


def test_an_object_holds_what_its_name_holds() -> None:
    source = read_source_filter(_mapping(includes=["gram_*", "title"], excludes=["gram_v2.weights"]))
    assert source.holds("gram_v1.codes") and source.holds("gram_v2.codes")
    assert not source.holds("gram_v2.weights") and not source.holds("titles")
