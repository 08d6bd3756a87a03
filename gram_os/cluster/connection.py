"""opensearch-py's client with our time limits, and with answers that remember how they were written."""

from __future__ import annotations

from typing import Any

from opensearchpy import JSONSerializer, OpenSearch, Urllib3HttpConnection
from opensearchpy import exceptions as foreign
from urllib3.exceptions import ConnectTimeoutError

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


def open_client(settings: ClusterSettings) -> OpenSearch:
    """Make opensearch-py's client; it connects with its first request."""
    auth = None
    if settings.username is not None and settings.password is not None:
        auth = (settings.username, settings.password.get_secret_value())
    return OpenSearch(
        hosts=[settings.url],
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
