"""A query against one index: codes, recall by code, pair scores, and the fusion with BM25.

    text -> generator -> codes x idf -> first stage (top `WINDOW` by weight) -> pair scorer -> hits
                                                         BM25 on the title ------------------> hybrid

Knows the generator and the scorer by what they do, and the cluster by `Cluster`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from gram_os.cluster import Cluster
from gram_os.dsl import build_codes_query, build_search, build_text_query
from gram_os.errors import InputError
from gram_os.generator import ScoredCode
from gram_os.query_pipeline.frequencies import CodeFrequencies
from gram_os.query_pipeline.fusion import fuse_scores
from gram_os.query_pipeline.hit import Hit
from gram_os.scorer import PackedCodes, PairScore, WeightedCode

WINDOW = 300  # hits that the pair scorer sees, and that each branch gives to the fusion (GRAM section 7)
DEEPEST = 10_000  # index.max_result_window's default: no search of the cluster gives more
MAX_CLAUSES = 1000  # indices.query.bool.max_clause_count is 1,024 by default
MAX_QUERY_CHARACTERS = 1000  # what stands behind is no query; 100 kB of text would be thousands of clauses


class Mode(StrEnum):
    """What finds the hits."""

    BM25 = "bm25"
    GRAM = "gram"
    HYBRID = "hybrid"


class CodeGenerator(Protocol):
    """Makes the codes of queries."""

    def code_queries(self, texts: Sequence[str]) -> list[list[ScoredCode]]:
        """The codes of each query."""


class PairScorer(Protocol):
    """Scores a query's codes against products' codes."""

    def score(self, query: Sequence[WeightedCode], products: Sequence[PackedCodes]) -> list[PairScore]:
        """One score a product."""


@dataclass(frozen=True, slots=True)
class IndexFields:
    """Where a label's codes and the title are in an index."""

    index: str
    title: str
    codes: str
    probabilities: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query, best first, and the codes that were asked for (none in mode bm25)."""

    hits: tuple[Hit, ...]
    codes: tuple[WeightedCode, ...]


class QueryPipeline:
    """Searches one index in any of the three modes."""

    def __init__(
        self,
        cluster: Cluster,
        fields: IndexFields,
        generator: CodeGenerator,
        scorer: PairScorer,
        *,
        gram_weight: float = 1.0,
        frequencies: CodeFrequencies | None = None,
    ):
        self.fields = fields
        self._cluster = cluster
        self._generator, self._scorer = generator, scorer
        self._gram_weight = gram_weight
        self._frequencies = frequencies or CodeFrequencies(cluster, fields.index, fields.codes)

    def search(
        self,
        text: str,
        *,
        mode: Mode = Mode.HYBRID,
        size: int = 10,
        start: int = 0,
        filters: Sequence[Mapping[str, Any]] = (),
        source: Sequence[str] | bool = False,
    ) -> Answer:
        """The hits `start` to `start + size` of a query; `filters` are OpenSearch clauses that every hit must meet.

        The order is settled over each branch's best `WINDOW` hits (or `start + size`, when that is more). An empty
        query finds nothing. Raises InputError for an offset or size below 0, or beyond `DEEPEST`.
        """
        if start < 0 or size < 0:
            raise InputError(f"from ({start}) and size ({size}) must not be negative")
        if start + size > DEEPEST:
            raise InputError(
                f"from ({start}) and size ({size}) reach beyond hit {DEEPEST:,}, the last one to be had; narrow the query"
            )
        text = text.encode("utf-8", "replace").decode("utf-8")  # the cluster takes no lone surrogates
        text = " ".join(text.split())[:MAX_QUERY_CHARACTERS]
        if not text or not size:
            return Answer((), ())
        window = max(WINDOW, start + size)
        codes = self._weigh(text) if mode is not Mode.BM25 else ()
        found = self._recall(text, codes, mode, window, filters)
        hits = self._rank(found, codes, mode)[start : start + size]
        return Answer(tuple(self._with_source(hits, source)), codes)

    def _weigh(self, text: str) -> tuple[WeightedCode, ...]:
        """The query's codes that the index holds, each with share x idf, heaviest first."""
        scored = self._generator.code_queries([text])[0]
        idf = self._frequencies.idf([str(s.code) for s in scored])
        weighed = [WeightedCode(s, s.share * i) for s, i in zip(scored, idf, strict=True) if i > 0]
        return tuple(sorted(weighed, key=lambda w: -w.weight)[:MAX_CLAUSES])

    def _recall(
        self,
        text: str,
        codes: Sequence[WeightedCode],
        mode: Mode,
        window: int,
        filters: Sequence[Mapping[str, Any]],
    ) -> dict[Mode, list[dict[str, Any]]]:
        """The branches' hits, in one request."""
        fields = self.fields
        bodies: dict[Mode, dict[str, Any]] = {}
        if codes:
            query = build_codes_query(fields.codes, {str(w.code.code): w.weight for w in codes})
            docvalues = (fields.codes, fields.probabilities)
            bodies[Mode.GRAM] = build_search(query, window, filters=filters, docvalues=docvalues)
        if mode is not Mode.GRAM:
            bodies[Mode.BM25] = build_search(build_text_query(fields.title, text), window, filters=filters)
        answers = self._cluster.msearch(fields.index, list(bodies.values()))
        return {branch: answer["hits"]["hits"] for branch, answer in zip(bodies, answers, strict=True)}

    def _rank(
        self, found: Mapping[Mode, list[dict[str, Any]]], codes: Sequence[WeightedCode], mode: Mode
    ) -> list[Hit]:
        coded = found.get(Mode.GRAM, [])
        scores = self._scorer.score(codes, [self._packed(hit) for hit in coded])
        pairs = {hit["_id"]: pair for hit, pair in zip(coded, scores, strict=True)}
        lexical = {hit["_id"]: float(hit["_score"]) for hit in found.get(Mode.BM25, [])}
        branches = [{product: pair.total for product, pair in pairs.items()}, lexical]
        if mode is Mode.HYBRID:
            final = fuse_scores(branches, [self._gram_weight, 1.0])
        else:
            chosen = branches[mode is Mode.BM25]
            # sorted() keeps the cluster's order among equals, so that the first stage decides there.
            final = dict(sorted(chosen.items(), key=lambda item: -item[1]))
        return [
            Hit(product, score, pairs.get(product), lexical.get(product)) for product, score in final.items()
        ]

    def _packed(self, hit: Mapping[str, Any]) -> PackedCodes:
        fields = hit["fields"]
        packed = fields.get(self.fields.probabilities, [""])  # none where someone wrote the codes by hand
        return PackedCodes(tuple(fields[self.fields.codes]), packed[0])

    def _with_source(self, hits: Sequence[Hit], source: Sequence[str] | bool) -> list[Hit]:
        """Read the fields that were asked for, of the hits that are shown only."""
        if not source or not hits:
            return list(hits)
        body = build_search({"ids": {"values": [hit.id for hit in hits]}}, len(hits), source=source)
        answer = self._cluster.search(self.fields.index, body)
        sources = {found["_id"]: found["_source"] for found in answer["hits"]["hits"]}
        return [replace(hit, source=sources.get(hit.id, {})) for hit in hits]
