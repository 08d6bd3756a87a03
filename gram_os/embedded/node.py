"""The embedded node: start, inspect, stop and delete one OpenSearch process for each data folder.

The folder holds the node's data, logs and configuration, the output of the process (`node.out`) and `node.json`, which
describes the running process. A lock keeps two commands from starting or stopping the node of one folder at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gram_os.embedded.choice import VERSION
from gram_os.embedded.folder import OUTPUT, cluster_name, find_log, read_tail
from gram_os.embedded.jars import fetch_jars
from gram_os.embedded.java import find_java
from gram_os.embedded.launcher import build_command, compile_launcher, write_configuration
from gram_os.embedded.ports import choose_port, find_free_ports
from gram_os.errors import MissingExtraError, NodeError, PortInUseError

try:
    import psutil  # type: ignore[import-untyped]
    from filelock import FileLock, Timeout
except ImportError as error:  # this module is imported only where a node is wanted
    raise MissingExtraError("the embedded node", "embedded") from error

log = logging.getLogger(__name__)

_MOST_NODES: Final = 9
_STATE: Final = "node.json"
_LOCK_PATIENCE_S: Final = 180.0
_STOP_PATIENCE_S: Final = 60.0  # a stop takes 1 s, 5 s where the class archive is written, more on a busy machine
_START_ATTEMPTS: Final = 3
# The node is on this machine: requests must not go through a proxy of the environment.
_LOCAL: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class EmbeddedNode:
    """One running OpenSearch process.

    `born` is the time when the process started, in seconds: it tells the process from a later one with the same id.
    `data` is the folder, `nodes` the size of the cluster, which is one process.
    """

    url: str
    pid: int
    born: float
    data: str
    nodes: int
    attached: bool
    version: str = VERSION

    @classmethod
    def start(
        cls,
        data: Path,
        *,
        cache: Path,
        nodes: int | None = None,
        port: int | None = None,
        attached: bool = False,
        heap: str = "1g",
        timeout_s: float = 180.0,
    ) -> EmbeddedNode:
        """Start a node on `data`, or return the one that already runs there.

        `cache` is the folder of the jars and the launcher. An `attached` node ends with this process, in whatever way
        the process ends; other nodes run until `stop`. `nodes` is the size of the cluster, which is one process; the
        default is its earlier size, or 1. The default of `port` is the first free one from 9200.

        Raises NodeError when a different node runs on `data` or the node does not start within `timeout_s`, and
        PortInUseError, JavaMissingError or JarCacheError for those causes.
        """
        data = data.absolute()
        with _locked(data):
            running = cls.status(data)
            if running is not None:
                return _reuse(running, nodes, port, timeout_s)
            nodes = _check_size(data, nodes)
            java = find_java()
            jars = fetch_jars(cache / "jars", with_icu=java.needs_icu)
            class_path = [compile_launcher(java, jars, cache), *jars.class_path]
            log.info("starting OpenSearch %s (about 10 s); data: %s", VERSION, data)
            for attempts_left in reversed(range(_START_ATTEMPTS)):
                first = choose_port(port, nodes)
                write_configuration(data, find_free_ports(nodes))
                command = build_command(
                    java,
                    class_path,
                    archive=cache / f"java-{java.version}.jsa",
                    data=data,
                    name=cluster_name(data),
                    nodes=nodes,
                    port=first,
                    heap=heap,
                    attached=attached,
                )
                node = cls(f"http://127.0.0.1:{first}", 0, 0.0, str(data), nodes, attached)
                try:
                    return _spawn(command, node, timeout_s)
                except PortInUseError:  # another process took the port after we found it free
                    if port is not None or not attempts_left:
                        raise
            raise AssertionError("unreachable")

    @classmethod
    def status(cls, data: Path) -> EmbeddedNode | None:
        """Return the node that runs on `data`, or None."""
        node = _read_state(data.absolute())
        return node if node is not None and node.is_running() else None

    @classmethod
    def reset(cls, data: Path) -> None:
        """Stop the node and delete its data, logs and configuration."""
        data = data.absolute()
        if not data.is_dir():
            return
        running = cls.status(data)
        if running is not None:
            running.stop()
        with _locked(data):
            for folder in data.glob("node_*"):
                shutil.rmtree(folder)
            for name in (_STATE, OUTPUT):
                (data / name).unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop the process and keep its data. It may close its indices; it is killed when that takes too long."""
        process = self._process()
        if process is not None:
            log.info("stopping OpenSearch")
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
                try:
                    process.wait(_STOP_PATIENCE_S)
                except psutil.TimeoutExpired:
                    log.warning(
                        "the node (process %d) did not stop within %g s and is killed",
                        self.pid,
                        _STOP_PATIENCE_S,
                    )
                    process.kill()
                    process.wait(_STOP_PATIENCE_S)
        if _read_state(Path(self.data)) == self:  # node.json may describe a later node
            (Path(self.data) / _STATE).unlink()
        child = _CHILDREN.pop(self.pid, None)
        if child is not None:
            child.wait()
            if child.stdin is not None:
                child.stdin.close()

    def stop_one(self, number: int) -> None:
        """Stop one node of an attached cluster, from 1 to `nodes`. Node 1 answers at `url`. For tests of a failover.

        Raises NodeError when this process did not start the cluster as an attached one.
        """
        child = _CHILDREN.get(self.pid)
        if child is None or child.stdin is None or not 1 <= number <= self.nodes:
            raise NodeError(f"node {number} of {self.url} cannot be stopped from here")
        child.stdin.write(str(number).encode())
        child.stdin.flush()

    def is_running(self) -> bool:
        """Return whether the process runs. `read_health` tells whether it answers."""
        return self._process() is not None

    def read_health(self) -> str | None:
        """Return `green`, `yellow` or `red`. None when nothing answers, or another cluster answers at the address."""
        answer = _ask(f"{self.url}/_cluster/health")
        if answer is None or answer.get("cluster_name") != cluster_name(Path(self.data)):
            return None
        return str(answer["status"])

    def _process(self) -> psutil.Process | None:
        """Return the process, or None when it ended. A later process with the same id started at another time."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.born) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError):
            return None
        return process if alive else None

    def _is_ready(self) -> bool:
        """Return whether all nodes have joined and every primary shard of earlier runs is back."""
        query = f"wait_for_status=yellow&wait_for_nodes={self.nodes}&timeout=1s"
        answer = _ask(f"{self.url}/_cluster/health?{query}")
        return (
            answer is not None
            and answer.get("cluster_name") == cluster_name(Path(self.data))
            and not answer["timed_out"]
        )


def _reuse(running: EmbeddedNode, nodes: int | None, port: int | None, timeout_s: float) -> EmbeddedNode:
    """Return the running node when it answers; raise NodeError when its size or port is not the wanted one."""
    wanted_url = f"http://127.0.0.1:{port}"
    if nodes not in (None, running.nodes) or (port is not None and wanted_url != running.url):
        raise NodeError(
            f"OpenSearch already runs on {running.data} with other settings (nodes: {running.nodes}, {running.url}); "
            "stop it first: gram-os cluster stop"
        )
    deadline = time.monotonic() + timeout_s
    while not running._is_ready():
        if time.monotonic() > deadline:
            raise NodeError(
                f"the node (process {running.pid}) runs but does not answer at {running.url}; "
                f"see {running.data}/node_1/logs, then: gram-os cluster stop"
            )
        time.sleep(0.2)
    return running


def _spawn(command: Sequence[str], node: EmbeddedNode, timeout_s: float) -> EmbeddedNode:
    """Start the process and wait until it serves. On any error, Ctrl-C included, the process is killed."""
    data = Path(node.data)
    with (data / OUTPUT).open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  (every word of the command is ours)
            command,
            stdin=subprocess.PIPE if node.attached else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C on the terminal reaches only us, and we stop the node in good order
        )
    try:
        started = EmbeddedNode(
            **{**asdict(node), "pid": process.pid, "born": psutil.Process(process.pid).create_time()}
        )
        _write_state(started)
        _wait(process, started, timeout_s)
    except BaseException:
        process.kill()
        process.communicate()  # waits, and closes the pipe
        (data / _STATE).unlink(missing_ok=True)
        raise
    _CHILDREN[process.pid] = process
    return started


# Process id -> process. Keeps the pipes to attached nodes open until `stop` or until this process ends.
_CHILDREN: Final[dict[int, subprocess.Popen[bytes]]] = {}


def _wait(process: subprocess.Popen[bytes], node: EmbeddedNode, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not node._is_ready():
        if process.poll() is not None:
            raise _explain_end(node, process.returncode)
        if time.monotonic() > deadline:
            log_file = find_log(Path(node.data))
            raise NodeError(
                f"the node does not serve after {timeout_s:g} s (GRAM_OS_NODE_START_TIMEOUT sets the limit); "
                f"the last lines of {log_file}:\n{read_tail(log_file)}"
            )
        time.sleep(0.1)


def _explain_end(node: EmbeddedNode, code: int) -> NodeError:
    """Return the error for a process that ended. Its output ends with the chain of causes or Java's own message."""
    output = read_tail(Path(node.data) / OUTPUT)
    if "Address already in use" in output:
        return PortInUseError(f"a port from {node.url.rpartition(':')[2]} on is taken; choose another with --port")
    return NodeError(
        f"the node ended while starting (exit code {code}):\n{output}\n  more in {find_log(Path(node.data))}"
    )


def _read_state(data: Path) -> EmbeddedNode | None:
    try:
        return EmbeddedNode(**json.loads((data / _STATE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # no file, or one of another version
        return None


def _write_state(node: EmbeddedNode) -> None:
    path = Path(node.data) / _STATE
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(asdict(node)), encoding="utf-8")
    scratch.replace(path)


def _check_size(data: Path, nodes: int | None) -> int:
    """Return the size of the cluster.

    Raises NodeError for fewer nodes than before: the shards of the others and the majority would be missing.
    """
    before = len(list(data.glob("node_*")))
    if nodes is None:
        return max(before, 1)
    if not 1 <= nodes <= _MOST_NODES:
        raise NodeError(f"--nodes {nodes}: must be from 1 to {_MOST_NODES}")
    if before > nodes:
        raise NodeError(
            f"{data} has {before} nodes; start it with --nodes {before}, or delete it: gram-os cluster reset"
        )
    return nodes


def _ask(url: str) -> dict[str, Any] | None:
    try:
        with _LOCAL.open(url, timeout=5) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data / "node.lock", timeout=_LOCK_PATIENCE_S)
        lock.acquire()
    except Timeout as error:
        raise NodeError(
            f"another command has been starting or stopping the node on {data} for minutes; end it"
        ) from error
    except OSError as error:
        raise NodeError(
            f"data folder {data}: {error.strerror or error}; make it writable, or set GRAM_OS_DATA_DIR"
        ) from error
    try:
        yield
    finally:
        lock.release()
