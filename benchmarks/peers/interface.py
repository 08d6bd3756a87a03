"""The interface of a peer: it learns from a benchmark's train clicks and ranks products for queries.

Knows the benchmark as values in memory. Does not know how a peer works, or how rankings are measured and cached.
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

# Every table uses at most 300 products of a query, so nobody ranks more.
DEPTH = 300
# One of so many train queries, chosen by a hash of its text, is held out for tuning.
HELD_OUT_SHARE = 10

Rankings = dict[str, list[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Split:
    """Queries (id -> text) and their judgments."""

    queries: Mapping[str, str]
    judgments: JudgmentSet

    def restrict(self, query_ids: Sequence[str]) -> Split:
        """Return the same split with only these queries."""
        kept = set(query_ids)
        grades = {id_: found for id_, found in self.judgments.grades.items() if id_ in kept}
        return Split({id_: self.queries[id_] for id_ in query_ids}, replace(self.judgments, grades=grades))


@dataclass(frozen=True)
class Benchmark:
    """A catalogue with a train and a dev split.

    `folder` holds the data. `work` is a git-ignored folder where peers cache models and vectors. The class has no
    slots, because derived views are cached on the instance.
    """

    products: Sequence[Product] = field(repr=False)
    train: Split = field(repr=False)
    dev: Split = field(repr=False)
    folder: Path
    work: Path

    @cached_property
    def clicks(self) -> list[tuple[str, str]]:
        """(query id, product id) of each relevant train pair with a product of the catalogue. They stand for clicks."""
        known = {product.id for product in self.products}
        return [
            (query_id, product_id)
            for query_id, products in self.train.judgments.relevant.items()
            for product_id in sorted(products)
            if query_id in self.train.queries and product_id in known
        ]

    def hold_out(self) -> Benchmark:
        """Return the same task inside `train`, for tuning: nine tenths of its queries as `train`, the last as `dev`.

        Settings and fusion weights are chosen here, so that nothing is ever chosen on the real dev queries. The hash of
        a query's text decides whether it belongs to the last tenth, so other queries of the file do not matter.
        """
        held_out = [id_ for id_, text in self.train.queries.items() if _is_held_out(text)]
        kept = [id_ for id_, text in self.train.queries.items() if not _is_held_out(text)]
        return replace(self, train=self.train.restrict(kept), dev=self.train.restrict(held_out))


class Peer(Protocol):
    """A system to compare with: a frozen dataclass, whose fields are its settings and the key of its cached runs."""

    @property
    def name(self) -> str:
        """Name of its row."""

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Learn from `bench.train` and rank at most `DEPTH` products for each query, best first.

        A peer never learns from `bench.dev`. `queries` is id -> text. The ids only name the answers.
        """


def _is_held_out(text: str) -> bool:
    digest = hashlib.sha256(" ".join(text.lower().split()).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0
