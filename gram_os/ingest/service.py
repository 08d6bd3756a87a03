"""Codes for some indices, all their labels, for as long as a process lives: first what is there, then every change.

What `gram-os watch` and the process folder `ingest/` run. A label that is attached, promoted or dropped meanwhile is
noticed. Knows generators by what `open_coder` returns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, read_attachments
from gram_os.errors import ClusterError, GramError, LabelGoneError
from gram_os.ingest.backfill import BackfillOptions, backfill
from gram_os.ingest.documents import LabelWriter, ProductCoder
from gram_os.ingest.feed import look_at_shards
from gram_os.ingest.queue_drain import QueueDrain
from gram_os.ingest.slices import Positions, open_state
from gram_os.ingest.watch import Watch, WatchOptions, WatchStatus

log = logging.getLogger(__name__)

_LOOK_S: Final = 5.0

OpenCoder = Callable[[str], ProductCoder | None]
OnStep = Callable[[str, str, WatchStatus], None]


def read_labels(cluster: Cluster, name: str) -> dict[str, LabelState]:
    """Return the labels of an index, or of any index behind an alias. A new index there may not have them yet."""
    labels: dict[str, LabelState] = {}
    for attachment in read_attachments(cluster, name).values():
        for label, state in attachment.labels.items() if attachment else ():
            labels.setdefault(label, state)
    return labels


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What a service follows, and how.

    names: indices and aliases. label: only this one; None follows all labels whose bundle can be opened. backfill: how
    what is there at the start is coded.
    """

    names: Sequence[str]
    label: str | None = None
    watch: WatchOptions = field(default_factory=WatchOptions)
    backfill: BackfillOptions = field(default_factory=BackfillOptions)


class IngestService:
    """Backfill and watch for some indices, one thread for each index and label.

    open_coder: id of a bundle -> its generator; None when there is no such bundle here. on_step: called after each look
    of a watch with index, label and status.
    """

    def __init__(
        self,
        cluster: Cluster,
        options: ServiceOptions,
        open_coder: OpenCoder,
        on_step: OnStep = lambda *_: None,
    ):
        self._cluster, self._options, self._open_coder, self._on_step = cluster, options, open_coder, on_step
        self._threads: dict[tuple[str, str], Thread] = {}
        self._told: dict[tuple[str, str], str] = {}

    def run(self, stop: Event) -> None:
        """Follow the indices until `stop` is set. Trouble of one index or label does not end the rest."""
        for name in self._options.names:
            thread = Thread(target=self._open_drain(name).run, args=(stop,), name=f"gram-os hook {name}")
            self._threads[name, ""] = thread
            thread.start()
        while not stop.is_set():
            for name in self._options.names:
                self._look(name, stop)
            stop.wait(_LOOK_S)
        for thread in self._threads.values():
            thread.join()

    def drain(self) -> Mapping[tuple[str, str], WatchStatus]:
        """Code what waits, and return what was done by index and label. Raises what `Watch.drain` raises."""
        done: dict[tuple[str, str], WatchStatus] = {}
        for name in self._options.names:
            self._open_drain(name).drain()
            for label, state in self._choose(name).items():
                coder = self._open_coder(state.bundle)
                if coder is None:
                    raise LabelGoneError(_explain_no_bundle(name, state))
                watch = Watch(self._cluster, name, state, coder, self._options.watch)
                watch.drain()
                done[name, label] = watch.status
        return done

    def _open_drain(self, name: str) -> QueueDrain:
        """Return the drain of what writers told by the hook."""

        def open_writers() -> list[LabelWriter]:
            states = self._choose(name).values()
            coders = [(state, self._open_coder(state.bundle)) for state in states]
            return [LabelWriter(self._cluster, name, state, coder) for state, coder in coders if coder is not None]

        return QueueDrain(self._cluster, name, open_writers)

    def _choose(self, name: str) -> dict[str, LabelState]:
        labels = read_labels(self._cluster, name)
        wanted = self._options.label
        return labels if wanted is None else {label: state for label, state in labels.items() if label == wanted}

    def _look(self, name: str, stop: Event) -> None:
        """Start what is not followed yet."""
        try:
            labels = self._choose(name)
        except ClusterError as error:
            self._tell((name, ""), str(error))
            return
        self._tell((name, ""), "" if labels else f"index '{name}' has no labels to follow; gram-os attach adds one")
        for label, state in labels.items():
            key = (name, label)
            if key in self._threads and self._threads[key].is_alive():
                continue
            coder = self._open_coder(state.bundle)
            self._tell(key, "" if coder else _explain_no_bundle(name, state))
            if coder is not None:
                thread = Thread(target=self._follow, args=(name, state, coder, stop), name=f"gram-os {name} {label}")
                self._threads[key] = thread
                thread.start()

    def _tell(self, key: tuple[str, str], trouble: str) -> None:
        """Log trouble once, as long as it stays the same."""
        if trouble and self._told.get(key) != trouble:
            log.warning("%s", trouble)
        self._told[key] = trouble

    def _follow(self, name: str, state: LabelState, coder: ProductCoder, stop: Event) -> None:
        try:
            if self._is_new(name, state):
                report = backfill(self._cluster, name, state, coder, self._options.backfill, stop=stop)
                log.info(
                    "%s: label %s: %d coded, %d were up to date", name, state.label, report.coded, report.unchanged
                )
            Watch(self._cluster, name, state, coder, self._options.watch).run(
                stop, lambda status: self._on_step(name, state.label, status)
            )
        except GramError as error:  # looked at again in some seconds
            log.warning("%s: label %s: %s", name, state.label, error)
        except Exception:
            log.exception("%s: label %s: the watch failed, and starts again", name, state.label)

    def _is_new(self, name: str, state: LabelState) -> bool:
        """Say whether some shard was never read under this label."""
        positions = Positions(open_state(self._cluster), state)
        return any(positions.read(shard.key) < 0 <= shard.checkpoint for shard in look_at_shards(self._cluster, name))


def _explain_no_bundle(name: str, state: LabelState) -> str:
    return (
        f"index '{name}': label '{state.label}' belongs to bundle {state.bundle}, which is not here; put it into the "
        "folder of bundles (GRAM_OS_MODEL_BUNDLES), or name it with --bundle"
    )
