"""Bulk: the wire form, order, retries and memory, against a `send` that keeps what it got."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from gram_os.cluster.bulk import CHUNK, Backoff, BulkItem, write_bulk
from gram_os.errors import ClusterBusyError, ClusterUnreachableError, InputError

AT_ONCE = Backoff(attempts=4, initial_s=0.0, max_s=0.0)


class Sink:
    """Answers each action with what `answer` says for its id and the number of the request (from 1)."""

    def __init__(self, answer: Any = None):
        self.requests: list[list[dict[str, Any]]] = []
        self.answer = answer or (lambda _id, _request: 201)

    def __call__(self, lines: bytes) -> Sequence[Mapping[str, Any]]:
        parsed = [json.loads(line) for line in lines.splitlines()]
        self.requests.append(parsed)
        items = []
        for line in parsed:
            (op, meta), *rest = line.items()
            if rest or op not in ("index", "create", "update", "delete"):
                continue
            status = self.answer(meta["_id"], len(self.requests))
            if isinstance(status, Exception):
                raise status
            outcome = {"_id": meta["_id"], "status": status}
            if status >= 400:
                outcome["error"] = {"type": "some_exception", "reason": f"status {status}"}
            items.append({op: outcome})
        return items


def index(number: int) -> dict[str, Any]:
    return {"op": "index", "index": "i", "id": str(number), "body": {"n": number}}


def test_wire_form() -> None:
    sink = Sink()
    actions: list[dict[str, Any]] = [
        {"op": "index", "index": "i", "id": "1", "routing": "r", "body": {"title": "Größe"}},
        {"op": "update", "index": "i", "id": "2", "if_seq_no": 5, "if_primary_term": 1, "body": {"doc": {}}},
        {"op": "delete", "index": "i", "id": "3"},
    ]
    items = list(write_bulk(actions, sink))
    assert sink.requests == [
        [
            {"index": {"_index": "i", "_id": "1", "routing": "r"}},
            {"title": "Größe"},
            {"update": {"_index": "i", "_id": "2", "if_seq_no": 5, "if_primary_term": 1}},
            {"doc": {}},
            {"delete": {"_index": "i", "_id": "3"}},
        ]
    ]
    assert items == [BulkItem("1", "index", 201), BulkItem("2", "update", 201), BulkItem("3", "delete", 201)]


def test_chunks_by_number_and_by_bytes_keep_the_order() -> None:
    sink = Sink()
    assert [item.id for item in write_bulk(map(index, range(5)), sink, chunk=2)] == ["0", "1", "2", "3", "4"]
    assert [len(request) // 2 for request in sink.requests] == [2, 2, 1]
    sink = Sink()
    list(write_bulk(map(index, range(CHUNK + 1)), sink))
    assert [len(request) // 2 for request in sink.requests] == [CHUNK, 1]
    sink = Sink()
    heavy = ({"op": "index", "index": "i", "id": str(n), "body": {"t": "x" * 3_000_000}} for n in range(5))
    assert len(list(write_bulk(heavy, sink))) == 5
    assert [len(request) // 2 for request in sink.requests] == [2, 2, 1]  # 3 x 3 MB would pass 8 MiB


def test_an_endless_stream_is_written_as_it_comes() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield index(number)

    items = write_bulk(endless(), Sink(), chunk=10)
    assert len(list(itertools.islice(items, 20))) == 20
    assert taken <= 31


def test_only_what_was_refused_for_now_is_sent_again() -> None:
    sink = Sink(lambda name, request: {"1": 429, "3": 503}.get(name, 201) if request < 3 else 201)
    items = list(write_bulk(map(index, range(5)), sink, backoff=AT_ONCE))
    assert [item.status for item in items] == [201] * 5
    sent = [[line["index"]["_id"] for line in request[::2]] for request in sink.requests]
    assert sent == [["0", "1", "2", "3", "4"], ["1", "3"], ["1", "3"]]


def test_when_patience_ends_the_last_answer_stands() -> None:
    sink = Sink(lambda name, _request: 429 if name == "1" else 201)
    items = list(write_bulk(map(index, range(3)), sink, backoff=AT_ONCE))
    assert [item.status for item in items] == [201, 429, 201]
    assert items[1].error == "some_exception: status 429"
    assert len(sink.requests) == 4


def test_final_refusals_are_items_and_not_sent_again() -> None:
    sink = Sink(lambda name, _request: {"0": 400, "1": 409}.get(name, 201))
    items = list(write_bulk(map(index, range(3)), sink, backoff=AT_ONCE))
    assert [(item.ok, item.conflict) for item in items] == [(False, False), (False, True), (True, False)]
    assert len(sink.requests) == 1


@pytest.mark.parametrize("error", [ClusterUnreachableError("gone"), ClusterBusyError("full")])
def test_a_request_without_an_answer_is_sent_again_and_at_last_raised(error: Exception) -> None:
    sink = Sink(lambda _id, request: error if request < 3 else 201)
    assert [item.ok for item in write_bulk([index(1)], sink, backoff=AT_ONCE)] == [True]
    with pytest.raises(type(error)):
        list(write_bulk([index(1)], Sink(lambda _id, _request: error), backoff=AT_ONCE))


def test_what_json_cannot_say_is_refused_alone() -> None:
    sink = Sink()
    actions = [index(0), {"op": "index", "index": "i", "id": "nan", "body": {"n": float("nan")}}, index(2)]
    items = list(write_bulk(actions, sink))
    assert [item.status for item in items] == [201, 400, 201]
    assert "not JSON" in str(items[1].error)
    assert [line["index"]["_id"] for line in sink.requests[0][::2]] == ["0", "2"]


def test_an_unknown_operation_is_a_mistake_of_ours() -> None:
    with pytest.raises(InputError, match="'upsert'"):
        list(write_bulk([{"op": "upsert", "index": "i", "id": "1", "body": {}}], Sink()))
