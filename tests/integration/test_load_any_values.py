"""No product may be refused because of the mapping that `load` itself made: random names and values on a real node."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gram_os.cluster.bulk import BulkItem
from gram_os.cluster.client import Cluster
from gram_os.loading.load import Source, load_products, survey_source

pytestmark = pytest.mark.integration

_NAMES = st.sampled_from(
    [
        "a",
        "a.b",
        "a.b.c",
        "b",
        "b.c",
        "_id",
        "_source",
        "_routing",
        "id.x",
        "",
        " ",
        ".",
        "a..b",
        "title.de",
        "c ",
        "x y",
    ]
)
_TEXTS = st.sampled_from(
    ["red", "", "0000-00-00", "2026-11-01", "2026-11-01T24:00:00", "2026-02-30", "2026-11-01T10:00:00+23:00", "true",
     "2026-11-01T10:00", "0001-01-01", "9999-12-31T23:59:59.999999999Z", "x" * 33_000, "ü" * 20_000, "\x00", "\u2028",
     "12", "1e400"]
)  # fmt: skip
_PLAIN = _TEXTS | st.sampled_from([0, -1, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, 5e-324, True, False, None])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.just("en"), inner, max_size=3),
    max_leaves=6,
)


def _nest(depth: int, value: object) -> object:
    for _ in range(depth):
        value = {"child": value}
    return value


_DEEP = st.builds(_nest, st.integers(8, 60), _PLAIN)
_ROWS = st.lists(st.dictionaries(_NAMES, _VALUES | _DEEP, max_size=5), min_size=1, max_size=6)


@given(_ROWS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_product_is_refused(cluster: Cluster, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "p.jsonl"
    lines = ({**row, "sku": str(number), "name": "Pan"} for number, row in enumerate(rows))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    source = Source(path, id_field="sku", title_field="name")
    index = f"test-any-{uuid.uuid4().hex}"
    refused: list[BulkItem] = []
    try:
        report = load_products(
            cluster,
            index,
            source,
            survey_source(source),
            on_item=lambda item: refused.append(item) if item.error else None,
        )
        assert [item.error for item in refused] == []
        assert report.written == len(rows) == cluster.count(index)
    finally:
        if cluster.index_exists(index):
            cluster.delete_index(index)
