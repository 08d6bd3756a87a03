"""What a search gives back: products in order, and for each why it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gram_os.query_pipeline.scorer import PairScore


@dataclass(frozen=True, slots=True)
class Hit:
    """One product found: its final score, and what made it.

    pair: the pair score over the shared codes, None when no code led here, its parts only of a search that explains; bm25:
    the lexical score, None when BM25 did not find it; source: the document's fields that were asked for.
    """

    id: str
    score: float
    pair: PairScore | None = None
    bm25: float | None = None
    source: Mapping[str, object] | None = None
