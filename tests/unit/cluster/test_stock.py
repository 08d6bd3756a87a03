"""Bodies of templates and of the ingest pipeline; `tests/integration/test_stock.py` has what a node makes of them."""

from __future__ import annotations

import re
import runpy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.cluster.facts import IndexFacts
from gram_os.cluster.labels import LabelState, build_attachment
from gram_os.cluster.stock import (
    Plan,
    Request,
    build_component_template,
    build_hash_mapping,
    foresee,
    patterns_meet,
    plan_hash_fields,
    template_name,
)
from gram_os.errors import InputError

ROOT = Path(__file__).parents[3]


def test_the_files_of_the_folder_are_what_the_builders_make() -> None:
    render = runpy.run_path(str(ROOT / "scripts/render_opensearch.py"))["render"]
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "opensearch").glob("*.json")}
    assert files == render(), "run: uv run python scripts/render_opensearch.py"


def _mapping(*labels: str) -> dict[str, Any]:
    mapping: dict[str, Any] = {"_meta": {"owner": "x"}, "properties": {"title": {"type": "text"}}}
    for label in labels:
        body = build_attachment(mapping, "shop", LabelState(label, "b" * 12, "title", coded_fields=("brand",)))
        mapping = {"_meta": body["_meta"], "properties": {**mapping["properties"], **body["properties"]}}
    return mapping


def test_a_component_has_what_is_of_gram_os_and_nothing_else() -> None:
    body = build_component_template(_mapping("v1", "v2"), "shop-*", "shop")
    mappings = body["template"]["mappings"]
    assert set(mappings["properties"]) == {"gram_v1", "gram_v2"}
    assert set(mappings["_meta"]) == {"gram"}
    assert list(mappings["_meta"]["gram"]["labels"]) == ["v1", "v2"]
    assert "settings" not in body["template"]


def test_hashes_come_with_the_pipeline() -> None:
    facts = IndexFacts("shop", _mapping("v1"), {})
    assert plan_hash_fields(facts) == Plan([])
    fields = Request("PUT", "/shop/_mapping", {"properties": build_hash_mapping(["v1"])})
    setting = Request("PUT", "/shop/_settings", {"index.default_pipeline": "gram-hash-title"})
    facts = foresee(facts, Plan([fields, setting]))
    assert facts.settings == {"index.default_pipeline": "gram-hash-title"}
    codes = facts.mapping["properties"]["gram_v1"]["properties"]
    assert {"codes", "weights", "title_hash"} <= set(codes)
    assert facts.mapping["properties"]["gram_v1"]["dynamic"] == "strict"
    assert plan_hash_fields(facts) == Plan([])
    # A label that an older gram-os attached has no such field.
    late = foresee(facts, Plan([Request("PUT", "/shop/_mapping", {"properties": _mapping("v2")["properties"]})]))
    late.mapping["_meta"]["gram"]["labels"]["v2"] = {}
    del late.mapping["properties"]["gram_v2"]["properties"]["title_hash"]
    (request,) = plan_hash_fields(late).requests
    assert "gram_v2" in request.body["properties"]
    assert "gram_v1" not in request.body["properties"]


def test_names_of_templates() -> None:
    assert template_name("products-*-eu") == "gram-products-any-eu"
    for pattern in ("*", "**", "_x*", "-x*", "A*", "a b", "a,b", "a#", ""):
        with pytest.raises(InputError, match=re.escape(f"pattern '{pattern}'")):
            template_name(pattern)


@given(st.text("ab*", max_size=6), st.text("ab*", max_size=6), st.lists(st.text("ab", max_size=6), max_size=30))
def test_patterns_that_match_a_common_name_meet(one: str, other: str, names: list[str]) -> None:
    for name in (*names, one.replace("*", ""), other.replace("*", "")):
        if fnmatchcase(name, one) and fnmatchcase(name, other):
            assert patterns_meet(one, other)


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_name_meets_a_pattern_when_it_matches(pattern: str, name: str) -> None:
    assert patterns_meet(pattern, name) == patterns_meet(name, pattern) == fnmatchcase(name, pattern)
