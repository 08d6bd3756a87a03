"""`Cluster` against a real OpenSearch: what it returns, and what it says when the cluster refuses."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.blocks import explain_block
from gram_os.cluster.client import Backoff, Cluster
from gram_os.errors import (
    ClusterAuthError,
    ClusterError,
    ClusterUnreachableError,
    GramError,
    IndexMissingError,
    IndexUnfitError,
    InputError,
)
from gram_os.settings import ClusterSettings
from tests.relay import Relay

pytestmark = pytest.mark.integration

MakeIndex = Callable[..., str]
ALL: dict[str, object] = {"match_all": {}}


def fill(cluster: Cluster, index: str, count: int) -> None:
    actions = ({"op": "index", "index": index, "id": str(n), "body": {"title": f"shoe {n}"}} for n in range(count))
    assert all(item.ok for item in cluster.bulk(actions))
    cluster.refresh(index)


def count_points_in_time(cluster: Cluster) -> int:
    return len(cluster._client.get_all_pits().get("pits", []))


def test_version_and_ingest_role(cluster: Cluster, make_index: MakeIndex) -> None:
    assert int(cluster.version.split(".")[0]) >= 2
    assert cluster.url.startswith("http")
    simulated = cluster._client.ingest.simulate(
        body={"pipeline": {"processors": [{"set": {"field": "a", "value": 1}}]}, "docs": [{"_source": {}}]}
    )
    assert simulated["docs"][0]["doc"]["_source"] == {"a": 1}
    index = make_index()
    cluster._client.ingest.put_pipeline(id=index, body={"processors": [{"set": {"field": "a", "value": 1}}]})
    try:
        (item,) = cluster.bulk([{"op": "index", "index": index, "id": "1", "pipeline": index, "body": {}}])
        assert item.error is None
    finally:
        cluster._client.ingest.delete_pipeline(id=index)


def test_index_life(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index(meta={"gram": {"active": "v1"}})
    assert cluster.index_exists(index)
    mapping = cluster.get_mapping(index)
    assert mapping["_meta"] == {"gram": {"active": "v1"}}
    cluster.put_mapping(index, {"properties": {"brand": {"type": "keyword"}}})
    assert set(cluster.get_mapping(index)["properties"]) == {"title", "brand"}
    fill(cluster, index, 3)
    assert cluster.count(index) == 3
    cluster.delete_index(index)
    assert not cluster.index_exists(index)


def test_search_and_msearch(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    fill(cluster, index, 3)
    answer = cluster.search(index, {"query": {"match": {"title": "shoes"}}, "size": 2}, request_cache=False)
    assert answer["hits"]["total"]["value"] == 3
    assert len(answer["hits"]["hits"]) == 2
    bodies = [{"query": {"match": {"title": str(n)}}} for n in range(3)]
    assert [found["hits"]["hits"][0]["_id"] for found in cluster.msearch(index, bodies)] == ["0", "1", "2"]
    assert cluster.msearch(index, []) == []


@pytest.mark.parametrize("shards", [1, 3])
def test_scan_sees_each_document_once_as_it_stood_at_the_start(
    cluster: Cluster, make_index: MakeIndex, shards: int
) -> None:
    index = make_index(settings={"number_of_shards": shards, "number_of_replicas": 0})
    fill(cluster, index, 25)
    before = count_points_in_time(cluster)
    hits = cluster.scan(index, query=ALL, source=["title"], page=5)
    first = next(hits)
    assert count_points_in_time(cluster) == before + 1
    list(cluster.bulk([{"op": "index", "index": index, "id": "later", "body": {"title": "later"}}]))
    cluster.refresh(index)
    seen = [first, *hits]
    assert sorted(int(hit["_id"]) for hit in seen) == list(range(25))
    assert all({"_source", "_seq_no", "_primary_term"} <= set(hit) for hit in seen)
    assert count_points_in_time(cluster) == before


def test_scan_closes_its_point_in_time_when_the_caller_stops_or_fails(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    fill(cluster, index, 3)
    before = count_points_in_time(cluster)
    hits = cluster.scan(index, query=ALL, source=False, page=1)
    assert "_source" not in next(hits)
    with contextlib.closing(hits):  # type: ignore[type-var]
        pass
    assert count_points_in_time(cluster) == before
    with pytest.raises(ClusterError, match="unknown query"):
        list(cluster.scan(index, query={"nonsense": {}}, source=True))
    assert count_points_in_time(cluster) == before


def test_bulk_settles_each_item(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index(properties={"n": {"type": "integer"}})
    actions: list[dict[str, Any]] = [
        {"op": "index", "index": index, "id": "1", "body": {"n": 1}},
        {"op": "index", "index": index, "id": "2", "body": {"n": "two"}},
        {"op": "create", "index": index, "id": "1", "body": {"n": 1}},
        {
            "op": "update",
            "index": index,
            "id": "1",
            "if_seq_no": 99,
            "if_primary_term": 1,
            "body": {"doc": {"n": 2}},
        },
        {
            "op": "update",
            "index": index,
            "id": "1",
            "if_seq_no": 0,
            "if_primary_term": 1,
            "body": {"doc": {"n": 3}},
        },
        {"op": "delete", "index": index, "id": "none"},
        {"op": "index", "index": index, "id": "3", "body": {"t": "half a \ud83d character"}},
    ]
    items = list(cluster.bulk(actions, chunk=3))
    assert [item.op for item in items] == [str(action["op"]) for action in actions]
    assert [item.status for item in items[:6]] == [201, 400, 409, 409, 200, 404]
    assert "mapper_parsing_exception" in str(items[1].error) and items[2].conflict
    cluster.refresh(index)
    assert cluster.search(index, {"query": {"ids": {"values": ["1"]}}})["hits"]["hits"][0]["_source"] == {"n": 3}


BLOCKS = {
    "read_only_allow_delete": "free space",
    "read_only": "index.blocks.read_only",
    "write": "index.blocks.write",
}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_blocked_index_says_how_to_lift_the_block(cluster: Cluster, make_index: MakeIndex, block: str) -> None:
    index = make_index()
    cluster._client.indices.put_settings(index=index, body={f"index.blocks.{block}": True})
    try:
        (item,) = cluster.bulk([{"op": "index", "index": index, "id": "1", "body": {}}])
        assert item.status in (403, 429) and item.blocked and "blocked" in str(item.error)
        assert BLOCKS[block] in str(explain_block(str(item.error)))
        if block != "write":
            with pytest.raises(IndexUnfitError, match=BLOCKS[block]) as caught:
                cluster.put_mapping(index, {"properties": {"a": {"type": "keyword"}}})
            assert index in str(caught.value)
    finally:
        cluster._client.indices.put_settings(index=index, body={f"index.blocks.{block}": None})


def test_a_closed_index_says_so(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    cluster._client.indices.close(index=index)
    with pytest.raises(IndexUnfitError, match="closed"):
        cluster.count(index)


CALLS: list[Callable[[Cluster, str], object]] = [
    lambda cluster, index: cluster.get_mapping(index),
    lambda cluster, index: cluster.put_mapping(index, {}),
    lambda cluster, index: cluster.count(index),
    lambda cluster, index: cluster.refresh(index),
    lambda cluster, index: cluster.delete_index(index),
    lambda cluster, index: cluster.search(index, {"query": ALL}),
    lambda cluster, index: cluster.msearch(index, [{"query": ALL}]),
    lambda cluster, index: list(cluster.scan(index, query=ALL, source=True)),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_index_is_named(cluster: Cluster, call: Callable[[Cluster, str], object]) -> None:
    with pytest.raises(IndexMissingError, match="'test-none' does not exist") as caught:
        call(cluster, "test-none")
    assert "gram-os load" in str(caught.value) and caught.value.exit_code == 2


def test_other_refusals(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    with pytest.raises(IndexUnfitError, match="exists already"):
        cluster.create_index(index, {})
    with pytest.raises(ClusterError, match=r"unknown query \[nonsense\]"):
        cluster.search(index, {"query": {"nonsense": {}}})
    with pytest.raises(ClusterError, match=r"unknown query \[nonsense\]"):
        cluster.msearch(index, [{"query": ALL}, {"query": {"nonsense": {}}}])


def test_an_alias_of_two_indices_has_no_one_mapping(cluster: Cluster, make_index: MakeIndex) -> None:
    first, second, alias = make_index(), make_index(), make_index()
    cluster.delete_index(alias)
    cluster._client.indices.put_alias(index=first, name=alias)
    assert set(cluster.get_mapping(alias)["properties"]) == {"title"}
    cluster._client.indices.put_alias(index=second, name=alias)
    with pytest.raises(IndexUnfitError, match="2 indices"):
        cluster.get_mapping(alias)
    cluster._client.indices.delete_alias(index=[first, second], name=alias)


@contextlib.contextmanager
def answering(*, status: str, body: str, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[str]:
    """Serve one fixed HTTP answer, as a proxy in front of a cluster, an old cluster or another service gives it."""
    answer = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    answer += f"Connection: close\r\n\r\n{body}"
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with contextlib.suppress(OSError), connection:  # a client that does not trust us hangs up
                        wrapped = tls.wrap_socket(connection, server_side=True) if tls else connection
                        with wrapped:
                            wrapped.recv(65536)
                            wrapped.sendall(answer.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def info(number: str, distribution: str) -> str:
    return f'{{"version": {{"number": "{number}", "distribution": "{distribution}"}}}}'


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        ("401 Unauthorized", "Unauthorized", ClusterAuthError, ["user 'ann'", "OPENSEARCH_PASSWORD"]),
        (
            "403 Forbidden",
            '{"error": {"type": "security_exception", "reason": "no permissions for [cluster:monitor/main]"}}',
            ClusterAuthError,
            ["no permissions for [cluster:monitor/main]", "user 'ann'", "role"],
        ),
        ("429 Too Many Requests", "{}", ClusterError, ["429", "later"]),
        ("200 OK", info("2.10.0", "opensearch"), ClusterError, ["2.10.0", "2.11 or later", "upgrade"]),
        ("200 OK", info("8.15.0", "elasticsearch"), ClusterError, ["no OpenSearch", "8.15.0"]),
        ("200 OK", '{"version": {"number": "8.15.0"}}', ClusterError, ["no OpenSearch", "8.15.0"]),
        ("200 OK", '{"hello": "world"}', ClusterError, ["not as OpenSearch does"]),
        ("200 OK", "<html>", ClusterError, ["not as OpenSearch does"]),
    ],
)
def test_what_answers_but_does_not_serve(status: str, body: str, error: type[GramError], words: list[str]) -> None:
    with answering(status=status, body=body) as url, pytest.raises(error) as caught:
        Cluster.connect(ClusterSettings.model_validate({"url": url, "username": "ann", "password": "s3cret"}))
    for word in [url, *words]:
        assert word in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_no_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterUnreachableError, match=r"refused.*OPENSEARCH_URL") as caught:
            Cluster.connect(ClusterSettings(url=url))
    assert url in str(caught.value)
    with pytest.raises(ClusterUnreachableError, match="OPENSEARCH_URL"):
        Cluster.connect(ClusterSettings())


def test_an_answer_that_does_not_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterUnreachableError, match=r"within 0\.2 s.*OPENSEARCH_TIMEOUT"):
            Cluster.connect(ClusterSettings(url=url, timeout_s=0.2))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")
def test_an_untrusted_certificate(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(status="200 OK", body=info("3.8.0", "opensearch"), tls=context) as url:
        url = url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(ClusterAuthError, match=r"not trusted.*OPENSEARCH_CA_CERTS"):
            Cluster.connect(ClusterSettings(url=url))
        for settings in (
            ClusterSettings(url=url, ca_certs=certificate),
            ClusterSettings(url=url, verify_certs=False),
        ):
            with contextlib.closing(Cluster.connect(settings)) as cluster:
                assert cluster.version == "3.8.0"
        plain = url.replace("https://", "http://")
        with pytest.raises(ClusterUnreachableError, match="https://"):
            Cluster.connect(ClusterSettings(url=plain))


def test_https_to_a_cluster_without_tls(cluster: Cluster) -> None:
    with pytest.raises(ClusterUnreachableError, match="http://"):
        Cluster.connect(ClusterSettings(url=cluster.url.replace("http://", "https://")))


def test_bulk_survives_a_cluster_that_goes_away_for_a_while(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    with Relay(cluster.url) as relay:
        through = Cluster.connect(
            ClusterSettings(url=relay.url, timeout_s=5),
            backoff=Backoff(attempts=20, initial_s=0.05, max_s=0.2),
        )
        items = through.bulk(
            ({"op": "index", "index": index, "id": str(n), "body": {"title": str(n)}} for n in range(40)),
            chunk=10,
        )
        seen = [next(items)]
        relay.cut()
        threading.Timer(0.5, relay.mend).start()
        seen += items
        through.close()
    assert [item.id for item in seen] == [str(n) for n in range(40)] and all(item.ok for item in seen)
    cluster.refresh(index)
    assert cluster.count(index) == 40


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_cluster_may_come_up_after_it_was_made(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    fill(cluster, index, 3)
    port = find_free_port()
    with contextlib.closing(Cluster(ClusterSettings(url=f"http://127.0.0.1:{port}"))) as early:
        for use in (early.check, lambda: early.version, lambda: early.count(index)):
            with pytest.raises(ClusterUnreachableError, match="refused"):
                use()
        with Relay(cluster.url, port) as relay:
            assert early.count(index) == 3
            assert early.version == cluster.version
            assert len(list(early.scan(index, query=ALL, source=False))) == 3
            assert len([line for line in relay.requests if line.startswith("GET / ")]) == 1  # the version is remembered


def test_a_version_that_did_not_serve_is_read_again() -> None:
    port = find_free_port()
    with contextlib.closing(Cluster(ClusterSettings(url=f"http://127.0.0.1:{port}"))) as cluster:
        with answering(status="200 OK", body=info("2.10.0", "opensearch"), port=port):
            for _ in range(2):
                with pytest.raises(ClusterError, match="upgrade"):
                    _ = cluster.version
        with answering(status="200 OK", body=info("2.11.0", "opensearch"), port=port):
            assert cluster.version == "2.11.0"


def test_a_short_timeout_ends_one_call_and_no_other(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    fill(cluster, index, 3)
    with (
        Relay(cluster.url) as relay,
        contextlib.closing(Cluster(ClusterSettings(url=relay.url, timeout_s=100))) as patient,
        ThreadPoolExecutor() as pool,
    ):
        hasty = patient.with_timeout(60).with_timeout(0.3)
        relay.hold()
        waiting = pool.submit(patient.count, index)
        with pytest.raises(ClusterUnreachableError, match=r"within 0\.3 s.*allow this request more time"):
            hasty.count(index)
        assert not waiting.done()
        relay.release()
        assert waiting.result() == 3
        assert hasty.with_timeout(100).count(index) == 3
        assert hasty.with_timeout(100).version == patient.version
        assert len([line for line in relay.requests if line.startswith("GET / ")]) == 1  # views share what is known


def test_a_handshake_without_an_answer_is_a_timeout() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        with contextlib.suppress(TimeoutError):  # until the queue of connections that wait for `accept` is full
            while True:
                stack.enter_context(socket.create_connection(server.getsockname(), timeout=0.2))
        cluster = Cluster(ClusterSettings(url=f"http://127.0.0.1:{server.getsockname()[1]}"))
        stack.callback(cluster.close)
        with pytest.raises(ClusterUnreachableError, match=r"did not answer within 0\.2 s"):
            cluster.with_timeout(0.2).check()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_without_time_is_refused(cluster: Cluster, seconds: float) -> None:
    with pytest.raises(InputError, match="more than 0"):
        cluster.with_timeout(seconds)


@pytest.mark.parametrize(("kept", "opened"), [(4, 4), (1, 7)])
def test_as_many_connections_are_kept_as_the_setting_says(cluster: Cluster, kept: int, opened: int) -> None:
    with (
        Relay(cluster.url) as relay,
        contextlib.closing(Cluster(ClusterSettings(url=relay.url, connections=kept))) as through,
        ThreadPoolExecutor(4) as pool,
    ):
        for so_far in (4, 8):  # twice four requests at once: the second time, connections that were kept serve again
            relay.hold()
            answers = [pool.submit(through.index_exists, "test-none") for _ in range(4)]
            relay.wait_for_requests(so_far)
            relay.release()
            assert [answer.result() for answer in answers] == [False] * 4
        assert relay.connections == opened
        pool_of_urllib3 = through._client.transport.get_connection().pool.pool
        assert len([one for one in pool_of_urllib3.queue if one is not None]) == kept


def test_threads_share_a_cluster(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    shared = Cluster(ClusterSettings(url=cluster.url, timeout_s=120, connections=3))

    def work(number: int) -> tuple[str, list[str]]:
        actions = ({"op": "index", "index": index, "id": f"{number}-{n}", "body": {"n": number}} for n in range(20))
        assert all(item.ok for item in shared.bulk(actions, chunk=7))
        shared.refresh(index)
        hits = shared.scan(index, query={"term": {"n": number}}, source=False, page=6)
        return shared.version, sorted(hit["_id"] for hit in hits)

    with contextlib.closing(shared), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [(cluster.version, sorted(f"{number}-{n}" for n in range(20))) for number in range(8)]
