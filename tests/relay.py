"""A TCP relay in front of the cluster. It can break connections, hold answers back, and count requests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit


class Relay:
    """Stands between a client and the cluster at `target`.

    `url`: the address for clients. `requests`: the request lines that passed so far, such as "POST /_bulk HTTP/1.1".
    `connections`: the number of connections that clients have opened.
    """

    def __init__(self, target: str, port: int = 0):
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._server = socket.create_server(("127.0.0.1", port))
        self._is_cut = False
        self._answers_flow = threading.Event()
        self._answers_flow.set()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.requests: list[str] = []
        self.connections = 0

    def __enter__(self) -> Relay:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.cut()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Break every connection and accept none, as a dead node would."""
        self._is_cut = True
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Accept connections again."""
        self._is_cut = False

    def hold(self) -> None:
        """Keep answers back until `release`."""
        self._answers_flow.clear()

    def release(self) -> None:
        """Let the answers pass."""
        self._answers_flow.set()

    def wait_for_requests(self, count: int) -> None:
        """Wait until `count` requests have passed, for at most a minute, which is enough for any test."""
        until = time.monotonic() + 60
        while len(self.requests) < count:
            assert time.monotonic() < until, f"only {self.requests} in a minute"
            time.sleep(0.005)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if self._is_cut:
                    near.close()
                    continue
                self.connections += 1
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for pump, source, target in ((self._pump_requests, near, far), (self._pump_answers, far, near)):
                    thread = threading.Thread(target=pump, args=(source, target))
                    self._threads.append(thread)
                    thread.start()

    def _pump_requests(self, source: socket.socket, target: socket.socket) -> None:
        self._pump(source, target, self._note)

    def _pump_answers(self, source: socket.socket, target: socket.socket) -> None:
        self._pump(source, target, lambda _: self._answers_flow.wait())

    def _note(self, data: bytes) -> None:
        """Record the request line. Clients wait for each answer before they send again, so `data` begins with it."""
        line = data.split(b"\r\n", 1)[0]
        if line.endswith(b" HTTP/1.1"):
            self.requests.append(line.decode())

    def _pump(self, source: socket.socket, target: socket.socket, before_passing: Callable[[bytes], object]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                before_passing(data)
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()
