"""OpenSearch over HTTP: the only module that imports opensearchpy.

Knows how to connect, which versions serve, and which of our errors stands for a refusal. Makes no body of its own beyond
paging: bodies come from `dsl.py` or the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from typing import Any, Final

from opensearchpy import OpenSearch, Urllib3HttpConnection
from opensearchpy import exceptions as foreign
from urllib3.exceptions import ConnectTimeoutError

from gram_os.cluster import blocks
from gram_os.cluster.bulk import CHUNK, Backoff, BulkItem, write_bulk
from gram_os.errors import (
    ClusterAuthError,
    ClusterBusyError,
    ClusterError,
    ClusterUnreachableError,
    IndexMissingError,
    IndexUnfitError,
    InputError,
)
from gram_os.settings import ClusterSettings

__all__ = ["MINIMUM_VERSION", "Backoff", "BulkItem", "Cluster"]

MINIMUM_VERSION: Final = (2, 11)
_SHARD_DOC_VERSION: Final = (3, 3)
_PIT_KEEP_ALIVE: Final = "5m"


@dataclass(slots=True)
class _Known:
    """What was read about a cluster; all views of it share this."""

    version: str | None = None


class Cluster:
    """One OpenSearch cluster. Many threads may share it.

    The constructor contacts nobody, so the cluster may come up later. Every request stands for itself: one that fails leaves
    nothing behind. All methods raise ClusterError or one of its subclasses, with the cure in the text.

    >>> from gram_os import Cluster, load_settings
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> cluster.count("products")
    100
    >>> body = {"query": {"match": {"title": "wireless access point"}}, "size": 1}
    >>> cluster.with_timeout(20).search("products", body)["hits"]["hits"][0]["_source"]["title"]
    'HP ProCurve 420 Wireless Access Point'
    >>> cluster.close()
    """

    def __init__(self, settings: ClusterSettings, *, backoff: Backoff | None = None):
        if settings.url is None:
            raise ClusterUnreachableError("no cluster is set; set OPENSEARCH_URL, e.g. http://localhost:9200")
        self.url: str = settings.url
        self._settings = settings
        self._backoff = backoff or Backoff()
        self._timeout_s = settings.timeout_s
        self._client = _open_client(settings)
        self._known = _Known()

    @classmethod
    def connect(cls, settings: ClusterSettings, *, backoff: Backoff | None = None) -> Cluster:
        """Make a cluster and `check` it at once."""
        cluster = cls(settings, backoff=backoff)
        cluster.check()
        return cluster

    def check(self) -> None:
        """Check address, certificate, credentials, distribution and version, with one request."""
        self._known.version = self._read_version()

    @property
    def version(self) -> str:
        """The cluster's version, such as "3.8.0". The first use reads and checks it; a check that fails is not remembered."""
        # No lock: threads that come together may all check, but none waits for another one's timeout.
        if self._known.version is None:
            self.check()
        return str(self._known.version)

    def with_timeout(self, seconds: float) -> Cluster:
        """Return a view of this cluster whose requests may take up to `seconds`.

        The view uses the same connections, and closing one closes both. Raises InputError unless `seconds` is above 0.
        """
        if not seconds > 0:
            raise InputError(f"a timeout of {seconds} s leaves no time for an answer; give more than 0")
        view = copy(self)
        view._timeout_s = seconds
        view._client = OpenSearch(transport_class=lambda *_, **__: _TimedTransport(self._client.transport, seconds))
        return view

    def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        self._client.close()

    def index_exists(self, index: str) -> bool:
        """Say whether an index or alias of this name is there."""
        with self._translating(index):
            return bool(self._client.indices.exists(index=index))

    def create_index(self, index: str, body: Mapping[str, object]) -> None:
        """Create an index; IndexUnfitError when the name is taken."""
        with self._translating(index):
            self._client.indices.create(index=index, body=body)

    def delete_index(self, index: str) -> None:
        """Delete an index; IndexMissingError when it is not there."""
        with self._translating(index):
            self._client.indices.delete(index=index)

    def get_mapping(self, index: str) -> dict[str, Any]:
        """Return `{"properties": ..., "_meta": ...}` of the one concrete index behind a name or alias."""
        with self._translating(index):
            found = self._client.indices.get_mapping(index=index)
        if not found:
            raise self._missing(index)
        if len(found) > 1:
            names = ", ".join(sorted(found))
            raise IndexUnfitError(f"'{index}' stands for {len(found)} indices ({names}); name one of them")
        (only,) = found.values()
        return dict(only["mappings"])

    def put_mapping(self, index: str, body: Mapping[str, object]) -> None:
        """Add to a mapping; what is there already cannot change its type."""
        with self._translating(index):
            self._client.indices.put_mapping(index=index, body=body)

    def count(self, index: str) -> int:
        """Return the number of documents that a search can see; `refresh` first to count recent writes."""
        with self._translating(index):
            answer = self._client.count(index=index)
        if answer["_shards"]["failed"]:
            raise ClusterError(f"index '{index}': {answer['_shards']['failed']} shards did not answer; try again")
        return int(answer["count"])

    def refresh(self, index: str) -> None:
        """Make what was written visible to searches."""
        with self._translating(index):
            self._client.indices.refresh(index=index)

    def search(self, index: str, body: Mapping[str, object], **params: Any) -> dict[str, Any]:
        """Search; a shard that fails fails the search, unless `allow_partial_search_results=True` is passed."""
        params.setdefault("allow_partial_search_results", False)
        with self._translating(index):
            return dict(self._client.search(index=index, body=body, params=_write_parameters(params)))

    def msearch(self, index: str, bodies: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """Run several searches in one request; answers in the order of `bodies`; raises for the first that failed."""
        if not bodies:
            return []
        header = {"allow_partial_search_results": False}
        lines = [json.dumps(line) for body in bodies for line in (header, body)]
        with self._translating(index):
            answers = self._client.msearch(index=index, body="\n".join(lines) + "\n")["responses"]
        for answer in answers:
            if "error" in answer:
                raise self._refusal(int(answer["status"]), answer["error"], index)
        return list(answers)

    def scan(
        self, index: str, *, query: Mapping[str, object], source: Sequence[str] | bool, page: int = 1000
    ) -> Iterator[dict[str, Any]]:
        """Yield every hit of `query` as the index stood at the start, with _id, _source, _seq_no and _primary_term.

        The point in time is closed whatever happens, also when the caller stops early.
        """
        with self._translating(index):
            pit = self._client.create_pit(index=index, params={"keep_alive": _PIT_KEEP_ALIVE})["pit_id"]
        try:
            yield from self._pages(index, pit, {"query": query, "_source": source, "size": page})
        finally:
            with suppress(foreign.OpenSearchException):  # it ends by itself; an error here would hide the real one
                self._client.delete_pit(body={"pit_id": [pit]})

    def _pages(self, index: str, pit: str, body: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        # Lucene's order costs nothing to sort by; the tie between shards needs _shard_doc, or before 3.3 the id.
        tie = "_shard_doc" if _parse_version(self.version) >= _SHARD_DOC_VERSION else "_id"
        after: list[object] | None = None
        while True:
            request = {**body, "sort": ["_doc", tie], "seq_no_primary_term": True, "track_total_hits": False}
            request["pit"] = {"id": pit, "keep_alive": _PIT_KEEP_ALIVE}
            if after is not None:
                request["search_after"] = after
            with self._translating(index):
                answer = self._client.search(body=request, params={"allow_partial_search_results": "false"})
            hits = answer["hits"]["hits"]
            yield from hits
            if len(hits) < int(str(body["size"])):
                return
            after = hits[-1]["sort"]

    def bulk(self, actions: Iterable[Mapping[str, object]], *, chunk: int = CHUNK) -> Iterator[BulkItem]:
        """Write actions, one BulkItem for each in order; see `gram_os.cluster.bulk` for their form and the retries.

        Nothing is written until the items are read. A refused document is an item with an `error`, never an exception.
        """

        def send(lines: bytes) -> Sequence[Mapping[str, Any]]:
            with self._translating(None):
                return list(self._client.bulk(body=lines)["items"])

        return write_bulk(actions, send, chunk=chunk, backoff=self._backoff)

    def _read_version(self) -> str:
        with self._translating(None):
            answer = self._client.info()
        version = answer.get("version") if isinstance(answer, Mapping) else None
        if not isinstance(version, Mapping) or "number" not in version:
            raise ClusterError(f"{self.url} answers, but not as OpenSearch does: {str(answer)[:100]}; correct the URL")
        number, distribution = str(version["number"]), version.get("distribution")
        minimum = ".".join(map(str, MINIMUM_VERSION))
        if distribution != "opensearch":
            raise ClusterError(
                f"{self.url} is no OpenSearch (version {number}, distribution {distribution}); "
                f"gram-os needs OpenSearch {minimum} or later"
            )
        if _parse_version(number) < MINIMUM_VERSION:
            raise ClusterError(f"{self.url} runs OpenSearch {number}; gram-os needs {minimum} or later: upgrade it")
        return number

    @contextmanager
    def _translating(self, index: str | None) -> Iterator[None]:
        try:
            yield
        except foreign.ConnectionError as error:  # also TLS and timeouts
            raise self._no_answer(error) from error
        except foreign.TransportError as error:
            info = error.info if isinstance(error.info, Mapping) else {}
            details = info.get("error", error.error)
            raise self._refusal(int(error.status_code), details, index) from error
        except foreign.OpenSearchException as error:  # an answer that is no JSON: a proxy, another service
            raise ClusterError(f"{self.url} answers, but not as OpenSearch does: {error}; correct the URL") from error

    def _no_answer(self, error: foreign.ConnectionError) -> ClusterError:
        reason = _innermost(error)
        if isinstance(error, foreign.SSLError) or "CERTIFICATE" in reason:
            if "WRONG_VERSION_NUMBER" in reason or "record layer" in reason:
                return ClusterUnreachableError(f"{self.url} does not speak TLS; use http:// in OPENSEARCH_URL")
            return ClusterAuthError(
                f"{self.url}: its certificate is not trusted ({reason}); set OPENSEARCH_CA_CERTS to the PEM file of "
                "the authority that signed it, or on a test machine OPENSEARCH_VERIFY_CERTS=false"
            )
        if isinstance(error, foreign.ConnectionTimeout):
            is_setting = self._timeout_s == self._settings.timeout_s
            more = "raise OPENSEARCH_TIMEOUT (seconds)" if is_setting else "allow this request more time"
            return ClusterUnreachableError(
                f"{self.url} did not answer within {self._timeout_s:g} s; look at its load, or {more}"
            )
        hint = "; if it speaks TLS, use https://" if self.url.startswith("http://") else ""
        return ClusterUnreachableError(
            f"{self.url}: no answer ({reason}); start the cluster or correct OPENSEARCH_URL{hint}"
        )

    def _refusal(self, status: int, details: Any, index: str | None) -> ClusterError:
        """Choose the error for an answer of the cluster; `details` is the answer's `error`, an object or a text."""
        kind, reason = _read_error(details)
        user = f"user '{self._settings.username}'" if self._settings.username else "no credentials"
        if kind == "index_not_found_exception":
            return self._missing(index or str(details.get("index", "")))
        if kind in blocks.ERROR_TYPES:
            return blocks.explain_block(reason, index)
        if kind == "index_closed_exception":
            return blocks.explain_block(blocks.CLOSED, index)
        if kind == "resource_already_exists_exception":
            return IndexUnfitError(f"index '{index}' exists already; choose another name or delete it first")
        if status == 401:
            return ClusterAuthError(
                f"{self.url} does not accept {user} (401); set OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD"
            )
        if status == 403:
            return ClusterAuthError(f"{self.url}: {user}: {reason} (403); have a role with that right mapped to it")
        if status in (429, 503):
            return ClusterBusyError(f"{self.url} is overloaded or not ready ({status}, {reason}); try again later")
        where = f"{self.url}, index '{index}'" if index else self.url
        return ClusterError(f"{where}: refused ({status}, {kind}: {reason})")

    def _missing(self, index: str) -> IndexMissingError:
        return IndexMissingError(
            f"index '{index}' does not exist on {self.url}; correct the name, "
            f"or create it: gram-os load FILE --index {index}"
        )


class _Connection(Urllib3HttpConnection):  # type: ignore[misc]  # opensearchpy has no types that mypy reads
    """opensearch-py's connection, for which a TCP handshake without an answer is a timeout too.

    Otherwise opensearch-py would repeat it three times, and a request would take four times its limit.
    """

    def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().perform_request(*args, **kwargs)
        except foreign.ConnectionError as error:
            if type(error.info) is ConnectTimeoutError:
                raise foreign.ConnectionTimeout("TIMEOUT", str(error.info), error.info) from error
            raise


class _TimedTransport:
    """The transport of another client, with a time limit of its own for each request."""

    def __init__(self, transport: Any, timeout_s: float):
        self.serializer = transport.serializer
        self.close = transport.close
        self._transport = transport
        self._timeout_s = timeout_s

    def perform_request(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """See opensearchpy's `Transport.perform_request`."""
        return self._transport.perform_request(*args, timeout=timeout or self._timeout_s, **kwargs)


def _open_client(settings: ClusterSettings) -> OpenSearch:
    """Make opensearch-py's client; it connects with its first request."""
    auth = None
    if settings.username is not None and settings.password is not None:
        auth = (settings.username, settings.password.get_secret_value())
    return OpenSearch(
        hosts=[settings.url],
        connection_class=_Connection,
        http_auth=auth,
        verify_certs=settings.verify_certs,
        ca_certs=str(settings.ca_certs) if settings.ca_certs else None,
        ssl_show_warn=False,
        timeout=settings.timeout_s,
        pool_maxsize=settings.connections,
        retry_on_status=(502, 503),  # at once, as another node may answer; a 504 has used up the time already
        opaque_id="gram-os",  # shows in the cluster's slow logs and tasks
    )


def _read_error(details: Any) -> tuple[str, str]:
    """Return type and reason; of a failed search those of the root cause, which "all shards failed" hides."""
    if not isinstance(details, Mapping):
        return "error", str(details).strip()[:300]
    cause = (details.get("root_cause") or [details])[0]
    return str(cause.get("type", details.get("type"))), str(cause.get("reason") or details.get("reason"))


def _innermost(error: foreign.ConnectionError) -> str:
    """Return the system's own words for a failed connection: the last exception of the chain."""
    last: Any = error.info if isinstance(error.info, BaseException) else error
    while (inner := getattr(last, "reason", None) or last.__cause__ or last.__context__) is not None:
        if not isinstance(inner, BaseException):
            break
        last = inner
    return str(getattr(last, "strerror", None) or last)


def _write_parameters(params: Mapping[str, Any]) -> dict[str, str]:
    """Write URL parameters as the cluster reads them.

    >>> _write_parameters({"request_cache": True, "routing": "a", "size": 3})
    {'request_cache': 'true', 'routing': 'a', 'size': '3'}
    """
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()}


def _parse_version(number: str) -> tuple[int, int]:
    """Return major and minor.

    >>> _parse_version("3.8.0-SNAPSHOT")
    (3, 8)
    """
    major, minor = number.split(".")[:2]
    return int(major), int(minor)
