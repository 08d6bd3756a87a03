"""The choice of the cluster that a command talks to: the one that is set, else a container, else the embedded node.

A container ends with this process. It is used only where the cluster may end with the command (tests, `demo --once`),
because the next command must find what `gram-os load` writes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from gram_os.cluster.client import Cluster
    from gram_os.settings import Settings

log = logging.getLogger(__name__)

VERSION: Final = "3.8.0"  # of OpenSearch, in the container and in the embedded node
_IMAGE: Final = f"opensearchproject/opensearch:{VERSION}"
_DEFAULT_ENGINE: Final = "npipe:////./pipe/docker_engine" if sys.platform == "win32" else "unix:///var/run/docker.sock"
_DOCKER_PORT: Final = 2375
_DOCKER_PATIENCE_S: Final = 1


def node_folder(settings: Settings) -> Path:
    """Return the folder of the embedded node."""
    return settings.data_dir / "opensearch"


@contextmanager
def resolve_cluster(settings: Settings, *, attached: bool = False) -> Iterator[Cluster]:
    """Yield the cluster to talk to. It is started where none is set and none runs.

    A cluster that is started as `attached` stops when the context ends. Otherwise the embedded node keeps running for
    later commands. Raises NodeError when the node cannot start.
    """
    from gram_os.cluster.client import Cluster

    with ExitStack() as stack:
        url = settings.cluster.url
        if url is None and attached and _docker_answers():
            url = _start_container(stack)
        if url is None:
            url = _start_node(settings, stack, attached=attached)
        cluster = Cluster.connect(settings.cluster.model_copy(update={"url": url}))
        stack.callback(cluster.close)
        yield cluster


def _start_node(settings: Settings, stack: ExitStack, *, attached: bool) -> str:
    from gram_os.embedded.node import EmbeddedNode

    folder = node_folder(settings)
    running = EmbeddedNode.status(folder)
    node = EmbeddedNode.start(
        folder,
        cache=settings.cache_dir,
        attached=attached,
        heap=settings.node.heap,
        timeout_s=settings.node.start_timeout_s,
    )
    if attached and running is None:
        stack.callback(node.stop)
    return node.url


def _docker_answers() -> bool:
    """Return whether a container engine answers. Without an engine this takes milliseconds."""
    if not _engine_listens(os.environ.get("DOCKER_HOST") or _DEFAULT_ENGINE):
        return False
    try:
        import docker  # type: ignore[import-untyped]

        with contextlib.closing(docker.from_env(timeout=_DOCKER_PATIENCE_S)) as client:
            return bool(client.ping())
    except Exception:  # client not installed, no rights, another service: there is no engine for us
        return False


def _engine_listens(address: str) -> bool:
    """Return whether something listens at the engine's address.

    Docker's own client could tell, but it is slow to import and leaves its socket open where nothing listens.
    """
    parts = urlsplit(address)
    try:
        if parts.scheme == "npipe":
            return Path(parts.path).exists()
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_DOCKER_PATIENCE_S)
                probe.connect(parts.path)
            return True
        with socket.create_connection((parts.hostname, parts.port or _DOCKER_PORT), _DOCKER_PATIENCE_S):
            return True
    except (OSError, ValueError):
        return False


def _start_container(stack: ExitStack) -> str | None:
    """Start OpenSearch in a container and return its URL. None when that fails, for example without a network.

    The embedded node serves then.
    """
    try:
        from testcontainers.opensearch import OpenSearchContainer

        container = OpenSearchContainer(_IMAGE, security_enabled=False)
        container.start()
    except Exception as error:
        log.warning("no container of %s (%s); the embedded node serves instead", _IMAGE, error)
        return None
    stack.callback(container.stop)
    return f"http://{container.get_container_host_ip()}:{container.get_exposed_port(9200)}"
