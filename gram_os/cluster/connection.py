"""opensearch-py's client with our time limits, and with answers that remember how they were written."""

from __future__ import annotations

from copy import copy
from typing import Any

from opensearchpy import JSONSerializer, OpenSearch, Transport, Urllib3HttpConnection
from opensearchpy import exceptions as foreign
from urllib3.exceptions import ConnectTimeoutError

from gram_os.cluster.blocks import ERROR_TYPES
from gram_os.cluster.bulk import Backoff, retry
from gram_os.settings import ClusterSettings


class WrittenAnswer(dict[str, Any]):
    """An answer, and its text as the cluster wrote it."""

    text: str


class _Serializer(JSONSerializer):  # type: ignore[misc]  # opensearchpy has no types that mypy reads
    def loads(self, s: str) -> Any:
        value = super().loads(s)
        if not isinstance(value, dict):
            return value
        answer = WrittenAnswer(value)
        answer.text = s
        return answer


class _Connection(Urllib3HttpConnection):  # type: ignore[misc]  # opensearchpy has no types that mypy reads
    """opensearch-py's connection, where a TCP handshake without an answer counts as a timeout too.

    opensearch-py would repeat such a handshake three times, and the request would take four times its limit.
    """

    def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().perform_request(*args, **kwargs)
        except foreign.ConnectionError as error:
            if type(error.info) is ConnectTimeoutError:
                raise foreign.ConnectionTimeout("TIMEOUT", str(error.info), error.info) from error
            raise


class _Transport(Transport):  # type: ignore[misc]  # opensearchpy has no types that mypy reads
    """opensearch-py's transport, which sends no bulk request twice.

    When the answer was lost, the writes may be done. Whoever sent them must look first.
    """

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        transport = self
        if url.endswith("/_bulk"):
            transport = copy(self)
            transport.max_retries = 0
        return Transport.perform_request(transport, method, url, *args, **kwargs)


class TimedTransport:
    """The transport of another client, with a time limit of its own for each request."""

    def __init__(self, transport: Any, timeout_s: float):
        self.serializer = transport.serializer
        self.close = transport.close
        self._transport = transport
        self._timeout_s = timeout_s

    def perform_request(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """See opensearchpy's `Transport.perform_request`."""
        return self._transport.perform_request(*args, timeout=timeout or self._timeout_s, **kwargs)


class PatientTransport:
    """The transport of another client, which sends a request again while the cluster cannot answer it.

    Bulk requests are left to their senders: a write may be sent again only behind a new look at its documents.
    """

    def __init__(self, transport: Any, backoff: Backoff):
        self.serializer = transport.serializer
        self.close = transport.close
        self._transport, self._backoff = transport, backoff

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """See opensearchpy's `Transport.perform_request`."""
        if url.endswith("/_bulk"):
            return self._transport.perform_request(method, url, *args, **kwargs)
        return retry(
            lambda: self._transport.perform_request(method, url, *args, **kwargs),
            self._backoff,
            is_transient=is_transient,
        )


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may pass later: no answer, half an answer, or 429, 502, 503 and 504."""
    if isinstance(error, foreign.ConnectionError):
        return not isinstance(error, foreign.SSLError)
    if isinstance(error, foreign.TransportError):
        is_late = error.status_code in (429, 502, 503, 504) and error.error not in ERROR_TYPES
        return is_late or is_garbled(error)
    return isinstance(error, foreign.SerializationError)


def is_garbled(error: foreign.TransportError) -> bool:
    """Say whether the text of a refusal is not what OpenSearch writes: its client could not read it as JSON.

    The security plugin refuses in plain words, with 401 or 403.
    """
    return error.info is None and bool(error.error) and error.status_code not in (401, 403)


def open_client(settings: ClusterSettings) -> OpenSearch:
    """Make opensearch-py's client; it connects with its first request."""
    auth = None
    if settings.username is not None and settings.password is not None:
        auth = (settings.username, settings.password.get_secret_value())
    return OpenSearch(
        hosts=[settings.url],
        transport_class=_Transport,
        connection_class=_Connection,
        serializer=_Serializer(),
        http_auth=auth,
        verify_certs=settings.verify_certs,
        ca_certs=str(settings.ca_certs) if settings.ca_certs else None,
        ssl_show_warn=False,
        timeout=settings.timeout_s,
        pool_maxsize=settings.connections,
        retry_on_status=(502, 503),  # at once: another node may answer. A 504 comes when the time is used up.
        opaque_id="gram-os",  # shows in the cluster's slow logs and tasks
    )


def innermost_reason(error: foreign.ConnectionError) -> str:
    """Return the system's words for a failed connection, which the last exception of the chain has."""
    last: Any = error.info if isinstance(error.info, BaseException) else error
    while (inner := getattr(last, "reason", None) or last.__cause__ or last.__context__) is not None:
        if not isinstance(inner, BaseException):
            break
        last = inner
    return str(getattr(last, "strerror", None) or last)
