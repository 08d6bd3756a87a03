"""Whatever index people have: codes are written into it without a loss, or it is refused and left as it is.

The short form runs always. The long one (`-m long`) draws 200 indices and counts the kinds that it met.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, require_label
from gram_os.cluster.stored import DocumentKey, StoredDocument
from gram_os.errors import IndexUnfitError
from gram_os.files.raw_json import split_object
from gram_os.ingest.backfill import backfill
from gram_os.model.generator import Generator
from tests.bundles import make_generator
from tests.integration.index_cases import IndexCase, Row, describe_index, index_cases, make_case, write_again

pytestmark = pytest.mark.integration

PRODUCTS = {"term": {"kind": "product"}}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


def _read(cluster: Cluster, index: str, rows: list[Row]) -> list[StoredDocument]:
    found = cluster.read_documents([DocumentKey(index, row.id, row.routing) for row in rows])
    return [document for document in found if document is not None]


def _members(document: StoredDocument) -> dict[str, str]:
    """A document as it is written, without codes."""
    return {m.name: m.value for m in split_object(document.source or "{}") if not m.name.startswith("gram_")}


def check_case(cluster: Cluster, case: IndexCase, generator: Generator) -> str:
    """Attach and backfill; return whether the index was coded or refused."""
    with make_case(cluster, case) as (index, rows):
        name = f"{index}-alias" if case.through_alias else index
        before, stored = describe_index(cluster, index), _read(cluster, index, rows)
        mapping = cluster.get_mapping(index)
        products = PRODUCTS if case.has_join else None
        try:
            attach(cluster, name, LabelState("t1", generator.bundle.id, case.title, products=products))
        except IndexUnfitError as error:
            assert "_source leaves out" in str(error) and "_source" in case.mapping, error
            assert cluster.get_mapping(index) == mapping
            return "refused"
        report = backfill(cluster, name, require_label(cluster, name), generator)
        assert describe_index(cluster, index) == before
        after = _read(cluster, index, rows)
        assert [_members(document) for document in after] == [_members(document) for document in stored]
        assert [document.version for document in after] == [document.version for document in stored]
        _check_counts(cluster, index, rows, report)
        again = backfill(cluster, name, require_label(cluster, name), generator)
        assert (again.coded, again.unchanged) == (0, report.coded)
        if case.numbered:
            assert all(write_again(cluster, index, row) for row in rows)
        return "coded"


def _check_counts(cluster: Cluster, index: str, rows: list[Row], report: Any) -> None:
    worn = [refusal.id for refusal in report.refused if "has not kept how it was written" in refusal.reason]
    titled = sum(row.has_title for row in rows) - len(worn)
    assert report.coded == titled
    assert all("1.10" in row.text or "2E3" in row.text or '"hidden"' in row.text for row in rows if row.id in worn)
    assert report.coded + report.unchanged + len(report.refused) == sum(row.is_product for row in rows)
    assert cluster.count(index, {"exists": {"field": "gram_t1.source"}}) == titled


@settings(max_examples=25)
@given(case=index_cases())
def test_nothing_is_lost(cluster: Cluster, generator: Generator, case: IndexCase) -> None:
    check_case(cluster, case, generator)


@pytest.mark.long
def test_nothing_is_lost_in_200_indices(cluster: Cluster, generator: Generator) -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=200)
    @given(case=index_cases())
    def check(case: IndexCase) -> None:
        outcome = check_case(cluster, case, generator)
        met.update([outcome, *(f"{kind}: {outcome}" for kind in case.kinds)])

    check()
    print("\n".join(f"{kind}: {count}" for kind, count in sorted(met.items())))  # noqa: T201
    for kind in ("A1 excludes", "A1 includes"):
        assert min(met[f"{kind}: refused"], met[f"{kind}: coded"]) >= 5, met
    for kind in ("A2 external versions", "A3 routing some", "A3 routing required", "join", "nested", "alias"):
        assert met[f"{kind}: coded"] >= 10, met
