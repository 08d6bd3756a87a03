"""The change feed and the leases on a real node."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.records import Records
from gram_os.errors import IndexMissingError
from gram_os.ingest.feed import ShardReader, look_at_shards
from gram_os.ingest.slices import Leases, is_dead, name_worker
from tests.conftest import MakeIndex
from tests.ingest_checks import write_documents

pytestmark = pytest.mark.integration

FIRST = {"position": -1, "done": False}


@pytest.fixture
def records(cluster: Cluster) -> Iterator[Records]:
    index = f".gram-test-{uuid.uuid4().hex}"
    yield Records(cluster, index, {"owner": {"type": "keyword"}})
    cluster.delete_index(index)


def _read(cluster: Cluster, index: str, after: int = -1, page: int = 1000) -> tuple[list[str], ShardReader]:
    cluster.refresh(index)
    (shard,) = look_at_shards(cluster, index)
    reader = ShardReader(cluster, shard, {"match_all": {}}, ["title"], page)
    pages = list(reader.pages(after, shard.checkpoint))
    assert pages == [] or pages[-1].position == shard.checkpoint
    return [hit["_id"] for page in pages for hit in page.hits], reader


def test_documents_stand_in_the_order_of_their_last_write(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    write_documents(cluster, index, {str(n): {"title": "x"} for n in range(5)})
    write_documents(cluster, index, {"1": {"doc": {"title": "y"}}}, op="update")
    list(cluster.bulk([{"op": "delete", "index": index, "id": "3"}]))
    assert _read(cluster, index)[0] == ["0", "2", "4", "1"]
    assert _read(cluster, index, after=4)[0] == ["1"]
    assert _read(cluster, index, after=6)[0] == []


@pytest.mark.parametrize("page", [1, 7, 1000])
def test_every_page_size_gives_each_document_once(cluster: Cluster, make_index: MakeIndex, page: int) -> None:
    index = make_index()
    write_documents(cluster, index, {str(n): {"title": "x"} for n in range(40)})
    write_documents(cluster, index, {str(n): {"title": "y"} for n in range(0, 40, 3)})
    found, _ = _read(cluster, index, page=page)
    assert sorted(found, key=int) == [str(n) for n in range(40)]


def test_numbers_out_of_use_cost_few_searches(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    for _ in range(30):
        write_documents(cluster, index, {str(n): {"title": "x"} for n in range(200)})
    found, reader = _read(cluster, index, page=100)
    assert len(found) == 200
    assert reader.searches < 15  # of 6,000 numbers


def test_an_index_without_documents_and_one_that_is_missing(cluster: Cluster, make_index: MakeIndex) -> None:
    (shard,) = look_at_shards(cluster, make_index())
    assert shard.checkpoint == -1
    with pytest.raises(IndexMissingError, match="test-absent"):
        look_at_shards(cluster, "test-absent")


def test_a_lease_has_one_holder(records: Records) -> None:
    first, second = (Leases(records, name_worker()) for _ in range(2))
    lease = first.take("a", FIRST)
    assert lease is not None and second.take("a", FIRST) is None
    with lease:
        lease.save(position=7)
    taken = second.take("a", FIRST)  # it was given back
    assert taken is not None and taken.position == 7
    with taken:
        taken.save(position=9, done=True)
    assert first.take("a", FIRST) is None  # done


def test_a_dead_process_loses_its_lease_at_once(records: Records) -> None:
    mine = name_worker()
    host, _, _, rest = mine.split("/")
    dead = f"{host}/{2**22 + 1}/ffffffff/{rest}"  # above the largest process number of Linux
    assert is_dead(dead) and not is_dead(mine) and not is_dead(f"elsewhere/1/ffffffff/{rest}")
    assert Leases(records, dead).take("a", FIRST) is not None
    assert Leases(records, mine).take("a", FIRST) is not None


def test_a_silent_machine_loses_its_lease_after_a_while(records: Records) -> None:
    holder = Leases(records, "elsewhere/1/ffffffff/0").take("a", FIRST)
    assert holder is not None
    waiting = Leases(records, name_worker(), lease_s=0.5)
    assert waiting.take("a", FIRST) is None
    time.sleep(0.3)
    holder.save(position=3)  # it lives
    time.sleep(0.3)
    assert waiting.take("a", FIRST) is None
    time.sleep(0.6)
    taken = waiting.take("a", FIRST)
    assert taken is not None and taken.position == 3
    holder.save(position=5)
    assert holder.lost
    record = records.get("a")
    assert record is not None and record.body["position"] == 3
