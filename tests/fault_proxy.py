"""An HTTP proxy in front of the cluster that answers badly to some of the requests, as its seed says."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

#: 429, 503: an answer in place of the cluster's. hang: no answer in time. cut: the connection breaks before the cluster
#: has the request. lost: it breaks behind the cluster's work. torn: the answer's JSON ends in the middle. half: a bulk
#: answer has the first half of its items.
FAULTS = ("429", "503", "hang", "cut", "lost", "torn", "half")


class FaultProxy:
    """Stands between a client and the cluster at `target`. share: of requests that meet a fault. counts: fault -> how
    often. `hang_s` must be longer than the client waits."""

    def __init__(self, target: str, *, share: float, seed: int, hang_s: float = 3.0, faults: tuple[str, ...] = FAULTS):
        self.share, self.hang_s, self.counts = share, hang_s, Counter[str]()
        self.requests = 0
        self._faults, self._random, self._lock = faults, random.Random(seed), threading.Lock()
        parts = urlsplit(target)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy._answer(self, (str(parts.hostname), int(parts.port or 80)), body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _choose(self, path: str) -> str:
        with self._lock:
            self.requests += 1
            fault = self._random.choice(self._faults) if self._random.random() < self.share else ""
            if fault == "half" and not path.endswith("/_bulk"):
                fault = "torn"
            self.counts[fault] += 1
            return fault

    def _answer(self, handler: BaseHTTPRequestHandler, target: tuple[str, int], body: bytes) -> None:
        fault = self._choose(handler.path.partition("?")[0])
        if fault in ("429", "503"):
            error = {"error": {"type": "rejected_execution_exception", "reason": "too much"}, "status": int(fault)}
            self._send(handler, int(fault), json.dumps(error).encode())
            return
        if fault == "cut":
            handler.close_connection = True
            return
        connection = http.client.HTTPConnection(*target, timeout=120)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(handler.command, handler.path, body=body, headers=headers)
        found = connection.getresponse()
        status, answer = found.status, found.read()
        connection.close()
        if fault == "hang":
            time.sleep(self.hang_s)
        if fault in ("hang", "lost"):
            handler.close_connection = True
            return
        if fault == "torn":
            answer = answer[: len(answer) // 2]
        if fault == "half":
            parsed = json.loads(answer)
            if "items" in parsed:
                parsed["items"] = parsed["items"][: len(parsed["items"]) // 2]
                answer = json.dumps(parsed).encode()
        self._send(handler, status, answer)

    def _send(self, handler: BaseHTTPRequestHandler, status: int, answer: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer)
