"""The HTTP service as one app: routes, and the two addresses where a supervisor asks how it is."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from gram_os import __version__
from gram_os.cluster.client import Cluster
from gram_os.errors import ClusterError, InputError, SettingsError
from gram_os.ingest.queue import ChangeQueue
from gram_os.server.hook import build_hook
from gram_os.settings import ServerSettings, Settings

_STORE_S: Final = 10.0  # for each request to the cluster, while a writer waits
_READY_S: Final = 5.0
_FINISH_S: Final = 20  # for requests that are under way when the service is stopped

log = logging.getLogger(__name__)


def build_app(settings: Settings, cluster: Cluster) -> FastAPI:
    """Build the app. It contacts the cluster with the first request that needs it, and closes it at its end."""

    @asynccontextmanager
    async def close_cluster(_: FastAPI) -> AsyncIterator[None]:
        yield
        cluster.close()

    app = FastAPI(title="gram-os", version=__version__, lifespan=close_cluster)
    storing = cluster.with_timeout(min(_STORE_S, settings.cluster.timeout_s))
    asking = cluster.with_timeout(min(_READY_S, settings.cluster.timeout_s))

    @app.get("/healthz", description="Answers as long as the process lives.")
    def tell_health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", description="Answers 200 when the cluster answers, else 503 and what is wrong.")
    def tell_readiness() -> JSONResponse:
        try:
            asking.check()
        except ClusterError as error:
            return JSONResponse({"status": "not ready", "detail": str(error)}, 503)
        return JSONResponse({"status": "ready"})

    app.include_router(build_hook(settings.hook, ChangeQueue(storing)))
    return app


def serve(settings: Settings, cluster: Cluster, *, on_open: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. Requests that are under way are answered.

    on_open: takes the address of the service when it is open.
    Raises SettingsError for an address that others can reach while no secret is set, and InputError for one that
    cannot be opened.
    """
    check_address(settings)
    with _listen(settings.server) as listener:
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn stops, then raises it again; the exit code is to be 0
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(settings, cluster),
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_FINISH_S,
            )
        )
        host, port = listener.getsockname()[:2]
        on_open(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        if settings.hook.secret is None:
            log.warning("the catalogue hook is closed; set GRAM_OS_HOOK_SECRET and GRAM_OS_HOOK_INDICES to open it")
        elif not settings.hook.indices:
            log.warning("the catalogue hook has no index; set GRAM_OS_HOOK_INDICES")
        server.run(sockets=[listener])
    log.info("stopped")


def check_address(settings: Settings) -> None:
    """Raise SettingsError when others could reach the service and no secret is set.

    >>> check_address(Settings(server=ServerSettings(host="127.0.0.1")))
    """
    host = settings.server.host
    if settings.hook.secret is None and not _is_loopback(host):
        raise SettingsError(
            f"server.host = '{host}' can be reached from other machines, and no secret is set; "
            "set GRAM_OS_HOOK_SECRET, or serve on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: it may stand for any address
        return False


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        place, reason = f"{settings.host}:{settings.port}", error.strerror or error
        raise InputError(f"{place} cannot be opened ({reason}); choose another --port or --host") from error
