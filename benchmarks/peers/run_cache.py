"""The cache of peers' rankings as TREC runs, so that neither a crash nor a new figure repeats a training.

The name of a file has peer, seed and part, and a hash of data and settings that tells whether the run is valid. The
*code* of a peer is not in the hash. Delete its runs when you change it.
"""

from __future__ import annotations

import gzip
import logging
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from benchmarks.peers.data import fingerprint
from benchmarks.peers.interface import DEPTH, Benchmark, Peer, Rankings
from gram_os.errors import GramError
from gram_os.relevance import Ranking, Run, read_trec_run, write_trec_run

log = logging.getLogger(__name__)


class Part(StrEnum):
    """The queries that a run answers, and the training data of its peer."""

    DEV = "dev"  # dev queries, trained on train
    HELD_OUT = "held"  # the last tenth of the train queries, trained on the other nine
    TRAIN = "train"  # all train queries, by a peer that does not learn


def obtain_run(bench: Benchmark, peer: Peer, part: Part, *, learns: bool = True, seed: int = 0) -> Run:
    """Return the run of a peer from the cache. Without one, the peer is run and its run is stored.

    A peer that does not learn ranks all parts together, because its start (a cluster, vectors) costs the most.
    """
    parts = (part,) if learns else tuple(Part)
    paths = {each: run_path(bench, peer, each, learns=learns, seed=seed) for each in parts}
    if not paths[part].is_file():
        started = time.perf_counter()
        for each, rankings in _rank_parts(bench, peer, parts, learns=learns).items():
            store_run(Run(peer.name, as_rankings(peer.name, rankings)), paths[each])
        log.info("%s, seed %d, %s: %.0f s", peer.name, seed, part, time.perf_counter() - started)
    return load_run(paths[part])


def run_path(bench: Benchmark, peer: Peer, part: Part, *, learns: bool = True, seed: int = 0) -> Path:
    """Return the path of a run. For a peer that does not learn, the clicks are not in the hash."""
    inner, queries = _task(bench, part)
    if not learns:
        inner = replace(inner, train=inner.train.restrict([]))
    key = fingerprint(inner, queries, repr(peer))
    return bench.work / "runs" / f"{peer.name}-{seed}-{part}-{key}.run.gz"


def store_run(run: Run, path: Path) -> None:
    """Write a gzipped TREC run, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        plain, packed = Path(scratch) / "plain", Path(scratch) / "packed"
        write_trec_run(run, plain)
        packed.write_bytes(gzip.compress(plain.read_bytes(), 5))
        packed.replace(path)


def load_run(path: Path) -> Run:
    """Read a TREC run, gzipped or not. Raises GramError for a damaged file."""
    if path.suffix != ".gz":
        return read_trec_run(path)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / path.stem
        try:
            plain.write_bytes(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError) as error:
            raise GramError(f"cannot read the run {path}: {error}; delete it, and it is written again") from error
        return read_trec_run(plain)


def as_rankings(name: str, rankings: Rankings) -> Mapping[str, Ranking]:
    """Convert rankings into those of `gram_os.relevance`.

    Raises GramError for a query with too many products or with one product twice.
    """
    found = {}
    for query_id, ranked in rankings.items():
        if len(ranked) > DEPTH:
            raise GramError(f"peer '{name}', query '{query_id}': {len(ranked)} products, at most {DEPTH} count")
        try:
            found[query_id] = Ranking(tuple(id_ for id_, _ in ranked), tuple(score for _, score in ranked))
        except ValueError as error:
            raise GramError(f"peer '{name}', query '{query_id}': {error}") from error
    return found


def _task(bench: Benchmark, part: Part) -> tuple[Benchmark, Mapping[str, str]]:
    if part is Part.TRAIN:
        return bench, bench.train.queries
    inner = bench.hold_out() if part is Part.HELD_OUT else bench
    return inner, inner.dev.queries


def _rank_parts(bench: Benchmark, peer: Peer, parts: Iterable[Part], *, learns: bool) -> dict[Part, Rankings]:
    tasks = {part: _task(bench, part) for part in parts}
    if learns:
        return {part: peer.rank(inner, queries) for part, (inner, queries) in tasks.items()}
    everything = {id_: text for _, queries in tasks.values() for id_, text in queries.items()}
    found = peer.rank(bench, everything)
    return {part: {id_: found[id_] for id_ in queries if id_ in found} for part, (_, queries) in tasks.items()}
