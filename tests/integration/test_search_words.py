"""Texts that begin with "-" through `gram-os search` on a real index."""

from __future__ import annotations

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.model.backbone import load_generator
from tests.command import run
from tests.conftest import MakeIndex

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("opensearch_url")]


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex) -> str:
    name, bundle = make_index(), load_generator().bundle
    attach(cluster, name, LabelState(bundle.manifest.label, bundle.id, "title"))
    titles = {"1": "Freezer, down to -20 degree", "2": "Desk lamp -x", "3": "Mouse"}
    writes = [{"op": "index", "index": name, "id": id_, "body": {"title": text}} for id_, text in titles.items()]
    assert [item.error for item in cluster.bulk(writes)] == [None] * 3
    cluster.refresh(name)
    return name


@pytest.mark.parametrize(
    ("words", "text", "ids"),
    [
        (["-20 degree"], "-20 degree", ["1"]),
        (["- lamp"], "- lamp", ["2"]),
        (["-20"], "-20", ["1"]),
        (["--size", "5", "-20", "--explain"], "-20", ["1"]),
        (["--", "-x"], "-x", ["2"]),
        (["--", "--explain lamp"], "--explain lamp", ["2"]),
    ],
)
def test_a_text_is_searched_though_it_begins_with_a_dash(
    index: str, words: list[str], text: str, ids: list[str]
) -> None:
    answer = run("search", "--index", index, "--mode", "bm25", "--json", *words).json()
    assert answer["query"] == text
    assert [hit["id"] for hit in answer["hits"]] == ids


@pytest.mark.parametrize("option", ["--query", "--title"])
def test_the_codes_of_such_a_text_are_shown(option: str) -> None:
    answer = run("codes", option, "-20 degree", "--weights", "--json").json()
    assert answer["text"] == "-20 degree"
    assert "20" in " ".join(row["code"] for row in answer["weights"] if row["from"] == "text")
