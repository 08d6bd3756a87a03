"""What a peer is: something that learns from a benchmark's train clicks and ranks products for queries.

Knows the benchmark as values in memory. Does not know how a peer works, nor how rankings are measured or kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from gram_os.catalogue import Product
from gram_os.relevance import JudgmentSet

# Every table looks at 300 products of a query at most, so nobody ranks more.
DEPTH = 300
# Every n-th train query (by a hash of its text) is held out where something is tuned.
HELD_OUT_SHARE = 10

Rankings = dict[str, list[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Split:
    """Queries (id -> text) and what people judged for them."""

    queries: Mapping[str, str]
    judgments: JudgmentSet

    def restrict(self, query_ids: Sequence[str]) -> Split:
        """The same split with these queries only."""
        kept = set(query_ids)
        grades = {id_: found for id_, found in self.judgments.grades.items() if id_ in kept}
        return Split({id_: self.queries[id_] for id_ in query_ids}, replace(self.judgments, grades=grades))


@dataclass(frozen=True)
class Benchmark:
    """A catalogue with a train and a dev split (no slots: derived views are cached on the instance).

    `folder` is where the data lie, `work` a git-ignored folder for what a peer wants to keep (models, vectors).
    """

    products: Sequence[Product] = field(repr=False)
    train: Split = field(repr=False)
    dev: Split = field(repr=False)
    folder: Path
    work: Path

    @cached_property
    def clicks(self) -> list[tuple[str, str]]:
        """(query id, product id) of each relevant train pair whose product is in the catalogue: what stands in for clicks."""
        known = {product.id for product in self.products}
        return [
            (query_id, product_id)
            for query_id, products in self.train.judgments.relevant.items()
            for product_id in sorted(products)
            if query_id in self.train.queries and product_id in known
        ]

    def hold_out(self) -> Benchmark:
        """The same task inside `train`, for tuning: nine tenths of its queries are `train`, the last tenth `dev`.

        Settings and fusion weights are chosen here, so that nothing is ever chosen on the real dev queries. A query
        belongs to the last tenth by a hash of its text, whatever else is in the file.
        """
        held = [id_ for id_, text in self.train.queries.items() if _is_held_out(text)]
        kept = [id_ for id_, text in self.train.queries.items() if not _is_held_out(text)]
        return replace(self, train=self.train.restrict(kept), dev=self.train.restrict(held))


class Peer(Protocol):
    """A system to compare with. A frozen dataclass: its fields are its settings, and name its cached runs with their hash."""

    @property
    def name(self) -> str:
        """Name of its row."""

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Learn from `bench.train` (never from `bench.dev`) and rank at most `DEPTH` products for each query, best first.

        `queries` is id -> text; the ids are there to name the answers and say nothing.
        """


def _is_held_out(text: str) -> bool:
    digest = hashlib.sha256(" ".join(text.lower().split()).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0
