"""Settings of peers, tried on the held-out tenth of the train queries: `quality.py --tune ROW`.

The best setting becomes the default of the peer's dataclass. The list here has the alternatives. The dev queries are
never used.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.peers.interface import Benchmark, Peer
from benchmarks.peers.rows import ROWS, Library, Row
from benchmarks.peers.run_cache import Part, obtain_run
from benchmarks.peers.statistics import METRICS, measure_row
from gram_os.errors import InputError

log = logging.getLogger(__name__)

# Each entry changes one setting of the defaults, so that a peer's tuning costs no more than GRAM's own recipe may.
CHANGES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "dense_tuned": ({}, {"rate": 2e-5}, {"epochs": 4}, {"negatives": 2}, {"scale": 50.0}),
    "xr_linear": (
        {},
        {"words": 1},
        {"characters": 3},
        {"characters": 5},
        {"cost": 0.3},
        {"cost": 3.0},
        {"leaf": 20},
        {"leaf": 400},
        {"beam": 200},
        {"matcher_negatives": True},
        {"post_processor": "sigmoid"},
    ),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A peer with some settings. `objective` is the mean of R@10, R@100, R@300 and nDCG@10 on held-out queries."""

    peer: Peer
    objective: float
    metrics: Mapping[str, float]


def list_candidates(library: Library, name: str) -> list[Peer]:
    """Return a row's peer with its defaults, and with each change. Raises InputError for a row without changes."""
    row = ROWS.get(name)
    if name not in CHANGES or not isinstance(row, Row):
        raise InputError(f"no settings of '{name}' are listed to be tried; there are: {', '.join(CHANGES)}")
    peer: Any = row.make(library, 0, Part.HELD_OUT)
    return [replace(peer, **changes) for changes in CHANGES[name]]


def try_settings(bench: Benchmark, candidates: Sequence[Peer]) -> list[Trial]:
    """Measure each candidate on the held-out queries. Returns the trials, best first. Their runs stay in the cache."""
    judgments = bench.hold_out().dev.judgments
    trials = []
    for peer in candidates:
        row = measure_row(peer.name, [obtain_run(bench, peer, Part.HELD_OUT)], judgments)
        metrics = {metric: row.figures[metric].mean for metric in METRICS}
        trials.append(Trial(peer, float(np.mean(list(metrics.values()))), metrics))
        log.info("%r: %.4f", peer, trials[-1].objective)
    return sorted(trials, key=lambda trial: -trial.objective)


def print_trials(trials: Sequence[Trial]) -> None:
    """Print one line for each candidate."""
    console = Console()
    for trial in trials:
        figures = "  ".join(f"{metric} {value:.4f}" for metric, value in trial.metrics.items())
        console.print(f"{trial.objective:.4f}  {figures}  {trial.peer!r}", markup=False, highlight=False)
