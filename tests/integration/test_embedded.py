"""The embedded node: real processes, real jars. A start takes about 8 s, so each test checks much."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from gram_os.cluster.client import Cluster
from gram_os.embedded import node_folder, resolve_cluster
from gram_os.embedded.jars import fetch_jars, find_damaged, read_lock
from gram_os.embedded.node import EmbeddedNode
from gram_os.errors import NodeError, PortInUseError
from gram_os.settings import ClusterSettings, Settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="written for POSIX processes"),
]

Start = Callable[..., EmbeddedNode]


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Start nodes that are stopped when the test ends."""
    started: list[EmbeddedNode] = []

    def start(data: Path, **options: object) -> EmbeddedNode:
        given = {"attached": True, "heap": "512m", "timeout_s": 600.0, **options}
        started.append(EmbeddedNode.start(data, cache=settings.cache_dir, **given))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for node in started:
        node.stop()


def connect(node: EmbeddedNode) -> Cluster:
    return Cluster.connect(ClusterSettings(url=node.url, timeout_s=120))


def wait_until(condition: Callable[[], bool], patience_s: float = 120.0) -> bool:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def run_cli(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "GRAM_OS_CACHE_DIR": str(settings.cache_dir),
        "GRAM_OS_DATA_DIR": str(settings.data_dir),
        "GRAM_OS_NODE_START_TIMEOUT": "600",
    }
    return subprocess.run(
        [sys.executable, "-m", "gram_os.cli.main", "cluster", *words],
        capture_output=True,
        text=True,
        env=environ,
        timeout=900,
        check=False,
    )


PARENT = """
import json, sys, time
from dataclasses import asdict
from pathlib import Path
from gram_os.embedded.node import EmbeddedNode
node = EmbeddedNode.start(Path(sys.argv[1]), cache=Path(sys.argv[2]), attached=True, heap="512m", timeout_s=600)
print(json.dumps(asdict(node)), flush=True)
time.sleep(600)
"""


def test_a_node_ends_with_its_parent_and_its_data_survive(
    cluster: Cluster, settings: Settings, start: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-c", PARENT, str(data), str(settings.cache_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        first = EmbeddedNode(**json.loads(parent.stdout.readline()))
        assert first.url != cluster.url  # two run at once: the other is the node of the test run
        assert listening_addresses(first) <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert start(data) == first  # the folder's node is reused ...
        with pytest.raises(NodeError, match="cluster stop"):
            start(data, nodes=2)  # ... unless it has another size
        client = connect(first)
        client.create_index("kept", {})
        assert all(item.ok for item in client.bulk([{"op": "index", "index": "kept", "id": "1", "body": {"a": 1}}]))
        client.close()
        parent.send_signal(signal.SIGKILL)  # it cannot clean up
    assert wait_until(lambda: not first.is_running())
    assert EmbeddedNode.status(data) is None

    second = start(data)
    assert second.pid != first.pid
    client = connect(second)
    assert client.count("kept") == 1
    client.close()

    EmbeddedNode.reset(data)
    assert not second.is_running()
    assert [path.name for path in data.iterdir()] == ["node.lock"]


def listening_addresses(node: EmbeddedNode) -> set[str]:
    connections = psutil.Process(node.pid).net_connections()
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def test_three_nodes_in_the_foreground_until_ctrl_c(settings: Settings, start: Start, tmp_path: Path) -> None:
    environ = {**os.environ, "GRAM_OS_CACHE_DIR": str(settings.cache_dir), "GRAM_OS_DATA_DIR": str(tmp_path)}
    words = ["cluster", "start", "--foreground", "--nodes", "3", "--json"]
    command = [sys.executable, "-m", "gram_os.cli.main", *words]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        # A test run in the background of a shell ignores Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        node = EmbeddedNode.status(tmp_path / "opensearch") if process.stdout.readline() else None
        assert node is not None and node.nodes == 3
        client = connect(node)
        client.create_index("spread", {"settings": {"number_of_shards": 3, "number_of_replicas": 2}})
        assert wait_until(lambda: node.read_health() == "green")  # two replicas need three nodes
        client.close()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
    assert process.returncode == 0
    assert not node.is_running()
    logs = (tmp_path / "opensearch").glob("node_*/logs/*.log")
    assert "Closed all nodes." in "".join(log.read_text(encoding="utf-8") for log in logs)  # not killed
    with pytest.raises(NodeError, match="--nodes 3"):
        start(tmp_path / "opensearch", nodes=1)


def test_the_command_line_leaves_a_node_running_that_later_commands_use(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"data_dir": tmp_path, "cluster": ClusterSettings()})
    before = run_cli(settings, "status", "--json")
    assert (before.returncode, json.loads(before.stdout)["running"]) == (1, False)
    try:
        started = run_cli(settings, "start", "--json")
        assert started.returncode == 0, started.stderr
        described = json.loads(started.stdout)
        assert described["running"] and described["nodes"] == 1 and described["health"] == "green"
        with resolve_cluster(settings) as cluster:
            assert cluster.url == described["url"]
        with resolve_cluster(settings, attached=True) as cluster:  # a running node is reused, and not stopped here
            assert cluster.url == described["url"]
        assert EmbeddedNode.status(node_folder(settings)) is not None
        again = run_cli(settings, "status")
        assert again.returncode == 0 and described["url"] in again.stdout
    finally:
        stopped = run_cli(settings, "stop", "--json")
    assert json.loads(stopped.stdout) == {"stopped": True}
    assert json.loads(run_cli(settings, "stop", "--json").stdout) == {"stopped": False}
    unsure = run_cli(settings, "reset", "--json")
    assert unsure.returncode == 2 and "--yes" in unsure.stderr
    assert (node_folder(settings) / "node_1").is_dir()
    assert run_cli(settings, "reset", "--yes").returncode == 0
    assert not (node_folder(settings) / "node_1").exists()


def test_a_port_in_use_is_named_before_anything_starts(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is taken.*--port"):
            start(tmp_path / "data", port=port)
    assert not list((tmp_path / "data").glob("node_*"))


def test_a_node_that_cannot_start_says_why(start: Start, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="heap") as caught:
        start(tmp_path / "data", heap="1m")  # Java itself refuses that
    assert "exit code" in str(caught.value)
    assert EmbeddedNode.status(tmp_path / "data") is None


def test_a_half_written_jar_is_fetched_again(settings: Settings, tmp_path: Path) -> None:
    whole = settings.cache_dir / "jars"
    fetch_jars(whole, with_icu=False)
    jars = [jar for jar in read_lock() if (whole / jar.name).is_file()]
    for jar in jars:
        (tmp_path / jar.name).hardlink_to(whole / jar.name)
    small = min(jars, key=lambda jar: jar.size)
    victim = tmp_path / small.name
    victim.unlink()
    victim.write_bytes((whole / small.name).read_bytes()[:-100])
    seen: list[int] = []
    fetched = fetch_jars(tmp_path, with_icu=False, progress=lambda total: _Counter(seen, total))
    assert find_damaged(tmp_path, jars) == []
    assert victim in fetched.class_path
    assert seen == [small.size, small.size]  # bytes announced, bytes fetched: this jar and no other
    assert not list(tmp_path.glob(".part-*"))


class _Counter:
    """A progress that records the bytes announced, then the bytes fetched."""

    def __init__(self, seen: list[int], total: int):
        self._seen, self._fetched = seen, 0
        seen.append(total)

    def __enter__(self) -> Callable[[int], None]:
        return self._advance

    def __exit__(self, *_: object) -> None:
        self._seen.append(self._fetched)

    def _advance(self, count: int) -> None:
        self._fetched += count


def test_jars_that_cannot_be_fetched_name_the_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gram_os.errors import JarCacheError

    configuration = tmp_path / "jgo.conf"
    configuration.write_text("[repositories]\ncentral = http://127.0.0.1:1/maven2\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    with pytest.raises(JarCacheError, match="could not be fetched"):
        fetch_jars(tmp_path / "jars", with_icu=False)
    shutil.rmtree(tmp_path / "jars")
