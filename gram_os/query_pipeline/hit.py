"""What a search gives back: products in order, each with the scores that put it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gram_os.query_pipeline.scorer import PairScore


@dataclass(frozen=True, slots=True)
class Hit:
    """One product that a search found: its final score and the scores behind it.

    pair: the pair score over the shared codes, None when no code led to the product; it has parts only when the search
    explains. bm25: the score of the words, None when the words did not find the product. In the mode hybrid `score` is
    pair + lexical weight * bm25. The cluster gives that sum alone, so both are None unless the search explains. source:
    the fields of the document that the caller named, None when the caller named none. index: the index that holds the
    document, which matters behind an alias of several: each may have a product of the same id. edits: what the document
    names the edits of people by that are in its codes (`Edit.token`), when the search explains.
    """

    id: str
    score: float
    pair: PairScore | None = None
    bm25: float | None = None
    source: Mapping[str, object] | None = None
    index: str | None = None
    edits: tuple[str, ...] = ()
