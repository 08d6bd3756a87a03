"""`gram-os dead-letters`: what could not be coded is listed with its reason, tried again, and dropped."""

from __future__ import annotations

import json

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.cluster.stored import DocumentKey
from gram_os.errors import TooManyRefusedError
from gram_os.ingest.backfill import BackfillOptions, backfill
from gram_os.ingest.dead_letters import DeadLetters
from gram_os.ingest.writing import Refusal
from gram_os.model.bundle import Bundle
from gram_os.model.generator import Generator
from tests.bundles import make_generator
from tests.command import run
from tests.conftest import MakeIndex
from tests.ingest_checks import read_all, write_documents

pytestmark = pytest.mark.integration


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex, opensearch_url: str) -> str:
    name = make_index()
    write_documents(cluster, name, {"1": {"title": "HP laptop"}, "2": {"price": 7}, "3": {"title": 12}})
    attach(cluster, name, LabelState("v1", Bundle.load().id, "title"))
    return name


def test_list_retry_and_drop(cluster: Cluster, index: str) -> None:
    done = run("backfill", "--index", index, "--json")
    report = json.loads(done.out)
    assert (done.code, report["updated"], report["failures"], report["total"]) == (3, 1, 2, 3)
    listed = json.loads(run("dead-letters", "list", "--index", index, "--json").out)
    found = {letter["id"]: letter for letter in listed["letters"]}
    assert listed["count"] == 2 and set(found) == {"2", "3"}
    assert found["2"]["reason"] == "has no title in field 'title'"
    assert (found["2"]["attempts"], found["2"]["status"], found["2"]["label"]) == (1, None, "v1")
    assert found["2"]["first_at"] == found["2"]["last_at"]
    write_documents(cluster, index, {"2": {"title": "black toner"}})
    done = run("dead-letters", "retry", "--index", index, "--json")
    assert (done.code, json.loads(done.out)) == (3, {"index": index, "coded": 1, "gone": 0, "waiting": 1})
    assert "toner" in " ".join(read_all(cluster, index)["2"]["_source"]["gram_v1"]["codes"])
    listed = json.loads(run("dead-letters", "list", "--index", index, "--json").out)
    assert [(letter["id"], letter["attempts"]) for letter in listed["letters"]] == [("3", 2)]
    assert "no title" not in listed["letters"][0]["reason"] and "12" in listed["letters"][0]["reason"]
    assert run("dead-letters", "drop", "--index", index).code == 2  # which ones?
    done = run("dead-letters", "drop", "--index", index, "--id", "4711")
    assert done.code == 2 and "'4711' has no dead letter" in done.err
    assert run("dead-letters", "drop", "--index", index, "--id", "3").code == 0
    assert "no dead letters" in run("dead-letters", "list", "--index", index).out


def test_a_deleted_document_leaves_them(cluster: Cluster, index: str) -> None:
    run("backfill", "--index", index)
    list(cluster.bulk([{"op": "delete", "index": index, "id": "2"}]))
    done = json.loads(run("dead-letters", "retry", "--index", index, "--json").out)
    assert done == {"index": index, "coded": 0, "gone": 1, "waiting": 1}
    assert json.loads(run("dead-letters", "list", "--index", index, "--json").out)["count"] == 1


def test_too_many_end_the_run_and_what_was_done_stays(
    cluster: Cluster, make_index: MakeIndex, tmp_path_factory: pytest.TempPathFactory
) -> None:
    generator: Generator = make_generator(tmp_path_factory.mktemp("bundle"))
    index = make_index()
    state = LabelState("t1", generator.bundle.id, "title")
    documents = {str(n): {"title": "HP laptop"} if n % 2 else {"price": n} for n in range(40)}
    write_documents(cluster, index, documents)
    attach(cluster, index, state)
    with pytest.raises(TooManyRefusedError, match=r"20 documents were refused, more than 5 .*dead-letters list"):
        backfill(cluster, index, state, generator, BackfillOptions(max_refused=5))
    assert DeadLetters(cluster).count(indices=[index]) == 20
    report = backfill(cluster, index, state, generator, BackfillOptions(max_refused=20))
    assert report.refusals == 20


def test_many_at_once_and_twice(cluster: Cluster) -> None:
    letters = DeadLetters(cluster)
    refusals = [Refusal(DocumentKey("test-none", f"é/{n}", "shop 7"), "x", 400, "5e1c") for n in range(1200)]
    letters.put("v1", refusals)
    letters.put("v1", refusals[:2])
    found = list(letters.list(indices=["test-none"]))
    assert len(found) == letters.count(indices=["test-none"]) == 1200
    assert sorted(letter.attempts for letter in found)[-3:] == [1, 2, 2]
    assert {letter.key for letter in found} == {refusal.key for refusal in refusals}
    assert (found[0].status, found[0].source, found[0].label) == (400, "5e1c", "v1")
    assert letters.count(indices=["test-none"], label="v2") == 0
    letters.clear("v1", [refusal.key for refusal in refusals])
    assert letters.count(indices=["test-none"]) == 0
