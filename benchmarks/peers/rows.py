"""The rows of the table: the peer behind each name, and the rows that are fused from others.

Knows every peer's module, and imports it only for its own row, so that no row needs the libraries of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchmarks.peers.fusion import Fusion, add_scores, cross_validated_fusion, fuse_ranks, fuse_runs
from benchmarks.peers.interface import Benchmark, Peer
from benchmarks.peers.run_cache import Part, load_run, obtain_run, run_path
from gram_os.errors import InputError
from gram_os.relevance import Run
from gram_os.train.recipe import ServingRecipe

# "rank": by reciprocal ranks. "chosen": with form and weights that are chosen inside train. "product": as `gram-os`
# adds BM25, times the recipe's weight, to the pair score.
Way = Literal["rank", "chosen", "product"]


@dataclass(frozen=True, slots=True)
class Row:
    """A peer's row. `seeded` rows have a run for each seed. Rows that do not learn also answer the train queries."""

    make: Callable[[Library, int, Part], Peer]
    learns: bool = True
    seeded: bool = True


@dataclass(frozen=True, slots=True)
class FusedRow:
    """A row fused from others."""

    branches: tuple[str, ...]
    way: Way = "rank"


def _bm25(library: Library, _seed: int, _part: Part) -> Peer:
    from benchmarks.peers.lexical import Bm25

    return Bm25(url=library.url)


def _bm25_expanded(library: Library, _seed: int, part: Part) -> Peer:
    from benchmarks.peers.lexical import ExpandedBm25

    if part not in library.expansions:
        raise InputError(f"row 'bm25_expanded' needs the extra texts for '{part}': --expansion {part}=FILE")
    return ExpandedBm25(library.expansions[part], url=library.url)


def _dense(_library: Library, _seed: int, _part: Part) -> Peer:
    from benchmarks.peers.dense import Dense

    return Dense()


def _dense_tuned(library: Library, seed: int, _part: Part) -> Peer:
    from benchmarks.peers.dense import TunedDense

    return TunedDense(lambda: library.run("bm25", Part.TRAIN, 0), seed=seed)


def _xr_linear(_library: Library, seed: int, _part: Part) -> Peer:
    from benchmarks.peers.xr_linear import XrLinear

    return XrLinear(seed=seed)


def _term_sets(_library: Library, seed: int, _part: Part) -> Peer:
    from benchmarks.peers.term_sets import TermSetPeer

    return TermSetPeer(seed=seed)


def _multi_span(_library: Library, seed: int, _part: Part) -> Peer:
    from benchmarks.peers.multi_span import MultiSpan

    return MultiSpan(seed=seed)


def _semantic_ids(_library: Library, seed: int, _part: Part) -> Peer:
    from benchmarks.peers.semantic_ids import SemanticIds

    return SemanticIds(seed=seed)


ROWS: Mapping[str, Row | FusedRow] = {
    "bm25": Row(_bm25, learns=False, seeded=False),
    "bm25_expanded": Row(_bm25_expanded, seeded=False),
    "dense": Row(_dense, learns=False, seeded=False),
    "dense_tuned": Row(_dense_tuned),
    "xr_linear": Row(_xr_linear),
    "term_sets": Row(_term_sets),
    "multi_span": Row(_multi_span),
    "semantic_ids": Row(_semantic_ids),
    "rrf_dense": FusedRow(("bm25", "dense")),
    "rrf_dense_tuned": FusedRow(("bm25", "dense_tuned")),
    "rrf_three": FusedRow(("bm25", "dense_tuned", "bm25_expanded")),
    "fused_dense": FusedRow(("bm25", "dense"), "chosen"),
    "fused_dense_tuned": FusedRow(("bm25", "dense_tuned"), "chosen"),
    "fused_three": FusedRow(("bm25", "dense_tuned", "bm25_expanded"), "chosen"),
    "hybrid": FusedRow(("bm25", "gram"), "product"),
}


class RunMissingError(InputError):
    """A run is not in the cache, and nothing may or can produce it."""


@dataclass(frozen=True)
class Library:
    """All runs of a benchmark by row, part and seed. They come from foreign files, the cache, a peer, or a fusion.

    `foreign` are files of other systems, one for each seed. `expansions` are the extra texts of `bm25_expanded`. With
    `make_missing` false, no peer is run. The class has no slots, because runs are cached on the instance.
    """

    bench: Benchmark
    url: str | None = None
    expansions: Mapping[Part, Path] = field(default_factory=dict)
    foreign: Mapping[tuple[str, Part], Sequence[Path]] = field(default_factory=dict)
    rows: Mapping[str, Row | FusedRow] = field(default_factory=lambda: ROWS)
    make_missing: bool = True
    lexical_weight: float = ServingRecipe().lexical_weight

    @cached_property
    def fusions(self) -> dict[tuple[str, int], Fusion]:
        """(row, seed) -> the fusion that was chosen for it so far."""
        return {}

    @cached_property
    def _held_out(self) -> Benchmark:
        return self.bench.hold_out()

    @cached_property
    def _read(self) -> dict[tuple[str, Part, int], Run]:
        return {}

    def seeds(self, name: str, wanted: Sequence[int]) -> list[int]:
        """Return the seeds of a row.

        They are the wanted seeds, 0 where the row does not depend on a seed, and one for each file of a foreign row.
        """
        if (name, Part.DEV) in self.foreign:
            return list(range(len(self.foreign[name, Part.DEV])))
        row = self._row(name)
        if isinstance(row, Row):
            return list(wanted) if row.seeded else [0]
        return max((self.seeds(branch, wanted) for branch in row.branches), key=len)

    def run(self, name: str, part: Part, seed: int) -> Run:
        """Return the run of a row. Raises RunMissingError, with the cure, when there is none."""
        key = (name, part, seed)
        if key not in self._read:
            found = self._find(name, part, seed)
            self._read[key] = Run(name, found.rankings)
        return self._read[key]

    def _find(self, name: str, part: Part, seed: int) -> Run:
        if files := self.foreign.get((name, part)):
            return load_run(files[seed if seed < len(files) else 0])
        row = self._row(name)
        if isinstance(row, FusedRow):
            return self._fuse(name, row, part, seed)
        peer = row.make(self, seed, part)
        seed = seed if row.seeded else 0
        path = run_path(self.bench, peer, part, learns=row.learns, seed=seed)
        if not self.make_missing and not path.is_file():
            raise RunMissingError(f"row '{name}': no run of part '{part}', seed {seed} in the cache ({path.name})")
        return obtain_run(self.bench, peer, part, learns=row.learns, seed=seed)

    def _fuse(self, name: str, row: FusedRow, part: Part, seed: int) -> Run:
        runs = [self.run(branch, part, seed) for branch in row.branches]
        if row.way == "rank":
            return fuse_ranks(name, runs)
        if row.way == "product":
            return add_scores(name, runs, [self.lexical_weight, 1.0])
        if (name, seed) not in self.fusions:
            held_out = [self.run(branch, Part.HELD_OUT, seed) for branch in row.branches]
            self.fusions[name, seed] = cross_validated_fusion(held_out, self._held_out.dev.judgments)
        fusion = self.fusions[name, seed]
        return fuse_runs(name, runs, fusion.form, fusion.weights)

    def _row(self, name: str) -> Row | FusedRow:
        if name not in self.rows:
            raise RunMissingError(
                f"there is no row '{name}', nor a run of it (--run {name}=FILE); rows: {', '.join(self.rows)}"
            )
        return self.rows[name]
