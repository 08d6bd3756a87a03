"""What a watch does as Prometheus metrics. Knows the statuses that it is told, and nothing of the cluster."""

from __future__ import annotations

from gram_os.errors import MissingExtraError, SettingsError
from gram_os.ingest.watch import WatchStatus

try:
    from prometheus_client import CollectorRegistry, Gauge, start_http_server
except ImportError as error:
    raise MissingExtraError("the metrics' HTTP server", "serve") from error

_LABELS = ("index", "label")


class IngestMetrics:
    """The metrics of all watches of a process, served over HTTP under /metrics.

    host, port: where to listen; port 0 takes a free one. Raises SettingsError when the port is taken.
    """

    def __init__(self, host: str, port: int):
        registry = CollectorRegistry()
        self._lag_operations = Gauge(
            "gram_os_ingest_lag_operations",
            "Writes of an index that were not looked at yet",
            _LABELS,
            registry=registry,
        )
        self._lag_seconds = Gauge(
            "gram_os_ingest_lag_seconds", "For how long a watch has been behind", _LABELS, registry=registry
        )
        self._documents = Gauge(
            "gram_os_ingest_documents",
            "Documents since the start, by outcome",
            (*_LABELS, "outcome"),
            registry=registry,
        )
        try:
            self._server, self._thread = start_http_server(port, host, registry=registry)
        except OSError as error:
            raise SettingsError(
                f"metrics on {host}:{port}: {error.strerror}; set another GRAM_OS_INGEST_METRICS_PORT"
            ) from error
        self.port = int(self._server.server_port)

    def note(self, index: str, label: str, status: WatchStatus) -> None:
        """Take over the status of one watch."""
        self._lag_operations.labels(index, label).set(status.lag_operations)
        self._lag_seconds.labels(index, label).set(status.lag_seconds)
        for outcome in ("coded", "unchanged", "refused", "conflicts"):
            self._documents.labels(index, label, outcome).set(getattr(status, outcome))

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
