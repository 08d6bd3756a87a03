"""A query against one index: recall and ranking by code, and the fusion with BM25.

    text -> rewrite.py -> codes clause -> pair scores, added up by the cluster -> hits
                                          BM25 on the title ----------------> hybrid

It knows the generator by a Protocol and the cluster by `Cluster`. What becomes of the text stands in rewrite.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_search, build_text_query, read_weights
from gram_os.cluster.facts import RESULT_WINDOW
from gram_os.errors import InputError
from gram_os.model.coded import CodedText, ScoredCode
from gram_os.query_pipeline.frequencies import CodeFrequencies
from gram_os.query_pipeline.fusion import WINDOW, fuse_scores
from gram_os.query_pipeline.hit import Hit
from gram_os.query_pipeline.rewrite import CodeGenerator, build_clause, clean_query, find_codes, fold_query, weigh_codes
from gram_os.query_pipeline.scorer import PairScore, WeightedCode, score_pair
from gram_os.text.attribute import TypedValue

_SAME_ID = 20  # documents of one id that a page may meet


class Mode(StrEnum):
    """What finds the hits: BM25 on the title, the codes, or both.

    >>> [mode.value for mode in Mode]
    ['bm25', 'gram', 'hybrid']
    >>> Mode("gram")
    <Mode.GRAM: 'gram'>
    """

    BM25 = "bm25"
    GRAM = "gram"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class IndexFields:
    """The names of an index and of its fields: the title, and a label's codes and weights.

    title: the field of `_source` that holds the title. text: the text field that BM25 searches, the title itself by
    default. result_window: the last hit that the index returns for a query.
    """

    index: str
    title: str
    codes: str
    weights: str
    text: str | None = None
    result_window: int = RESULT_WINDOW


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query, best first, and what the search knew of it (nothing in mode bm25).

    codes, attributes: see `CodedText`. weights: what the index ranks by, heaviest first.
    """

    hits: tuple[Hit, ...]
    codes: tuple[ScoredCode, ...] = ()
    attributes: tuple[TypedValue, ...] = ()
    weights: tuple[WeightedCode, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A hit, and what tells its document from others: id, index and routing."""

    key: tuple[str, str, str]
    hit: Hit


class QueryPipeline:
    """Searches one index in any of the three modes. Open one with `gram_os.open_pipeline`.

    >>> import gram_os
    >>> cluster = gram_os.Cluster.connect(gram_os.load_settings().cluster)  # reads OPENSEARCH_URL
    >>> pipeline = gram_os.open_pipeline(cluster, "products")
    >>> answer = pipeline.search("yellow toner for xerox", size=1, source=["title"], explain=True)
    >>> answer.hits[0].source
    {'title': 'Xerox DocuColor 242/252 Yellow Toner Cartridges'}
    >>> {part.code for part in answer.hits[0].pair.parts} >= {"yellow", "toner", "xerox"}
    True
    """

    def __init__(
        self,
        cluster: Cluster,
        fields: IndexFields,
        generator: CodeGenerator,
        *,
        idf_exponent: float = 1.0,
        gram_weight: float = 1.0,
        frequencies: CodeFrequencies | None = None,
    ):
        self.fields = fields
        self._cluster = cluster
        self._generator = generator
        self._idf_exponent, self._gram_weight = idf_exponent, gram_weight
        self._frequencies = frequencies or CodeFrequencies(cluster, fields.index, fields.weights)

    def search(
        self,
        text: str,
        *,
        mode: Mode = Mode.HYBRID,
        size: int = 10,
        start: int = 0,
        filters: Sequence[Mapping[str, Any]] = (),
        source: Sequence[str] | bool = False,
        explain: bool = False,
    ) -> Answer:
        """Return the hits `start` to `start + size` of a query.

        filters: OpenSearch clauses that every hit must meet. source: fields of the documents to return, True for all.
        explain: fill the parts of the hits' pair scores.

        A hybrid fuses the best `WINDOW` hits of both branches (or the best `start + size`, when that is more). An empty
        query finds nothing. Raises InputError for an offset or a size below 0, or beyond the index's result window.
        """
        if start < 0 or size < 0:
            raise InputError(f"from ({start}) and size ({size}) must not be negative")
        last = self.fields.result_window
        if start + size > last:
            raise InputError(
                f"from ({start}) and size ({size}) reach beyond hit {last:,}, the last one that the cluster "
                "returns; narrow the query, or raise index.max_result_window"
            )
        text = clean_query(text)
        if not text or not size:
            return Answer(())
        window = min(max(WINDOW, start + size), last) if mode is Mode.HYBRID else start + size
        coded = self._generator.code_queries([fold_query(text)])[0] if mode is not Mode.BM25 else CodedText()
        weights = self._weigh(coded)
        found = self._recall(text, self._build_clause(coded, weights), mode, window, filters)
        hits = self._rank(found, mode)[start : start + size]
        shown = self._read_shown(hits, source, weights if explain else ())
        return Answer(tuple(shown), coded.codes, coded.attributes, weights)

    def _weigh(self, coded: CodedText) -> tuple[WeightedCode, ...]:
        """Return the query's weights for the codes that the index holds, heaviest first."""
        idf = self._frequencies.idf([str(scored.code) for scored in coded.weights])
        return weigh_codes(coded.weights, idf, idf_exponent=self._idf_exponent)

    def _build_clause(self, coded: CodedText, weights: Sequence[WeightedCode]) -> Mapping[str, Any] | None:
        """Return the search by code. None when the query has no codes."""
        codes, fields = find_codes(coded), self.fields
        if not codes and not weights:
            return None
        return build_clause(weights, codes, codes_field=fields.codes, weights_field=fields.weights)

    def _recall(
        self,
        text: str,
        clause: Mapping[str, Any] | None,
        mode: Mode,
        window: int,
        filters: Sequence[Mapping[str, Any]],
    ) -> dict[Mode, list[dict[str, Any]]]:
        """Return the branches' hits, read in one request. clause: the search by code."""
        fields = self.fields
        bodies: dict[Mode, dict[str, Any]] = {}
        if clause is not None:
            bodies[Mode.GRAM] = build_search(clause, window, filters=filters)
        if mode is not Mode.GRAM:
            words = build_text_query(fields.text or fields.title, text)
            bodies[Mode.BM25] = build_search(words, window, filters=filters)
        answers = self._cluster.msearch(fields.index, list(bodies.values()))
        return {branch: answer["hits"]["hits"] for branch, answer in zip(bodies, answers, strict=True)}

    def _rank(self, found: Mapping[Mode, list[dict[str, Any]]], mode: Mode) -> list[_Ranked]:
        pairs, lexical = (
            {_read_key(hit): float(hit["_score"]) for hit in found.get(branch, [])} for branch in (Mode.GRAM, Mode.BM25)
        )
        if mode is Mode.HYBRID:
            window = min(WINDOW, self.fields.result_window)
            final = fuse_scores([pairs, lexical], [self._gram_weight, 1.0], window=window)
        else:
            final = lexical if mode is Mode.BM25 else pairs  # in the cluster's order
        return [
            _Ranked(
                key,
                Hit(key[0], score, PairScore(pairs[key]) if key in pairs else None, lexical.get(key), index=key[1]),
            )
            for key, score in final.items()
        ]

    def _read_shown(
        self, ranked: Sequence[_Ranked], source: Sequence[str] | bool, weights: Sequence[WeightedCode]
    ) -> list[Hit]:
        """Read the fields `source` of the hits that are shown, and the parts of their pair scores over `weights`."""
        if not ranked or not (source or weights):
            return [found.hit for found in ranked]
        fields = [self.fields.weights] if weights else []
        # An id may name a document in each index of an alias, and in each shard that a routing leads to.
        size = min(self.fields.result_window, _SAME_ID * len(ranked))
        query = {"ids": {"values": list(dict.fromkeys(found.hit.id for found in ranked))}}
        answer = self._cluster.search(self.fields.index, build_search(query, size, source=source, fields=fields))
        documents = {_read_key(document): document for document in answer["hits"]["hits"]}
        return [self._complete(found.hit, documents.get(found.key, {}), bool(source), weights) for found in ranked]

    def _complete(self, hit: Hit, document: Mapping[str, Any], source: bool, weights: Sequence[WeightedCode]) -> Hit:
        if source:
            hit = replace(hit, source=document.get("_source", {}))
        if hit.pair is None:
            return hit
        stored = document.get("fields", {}).get(self.fields.weights, [])
        title = read_weights(stored, [str(w.code.code) for w in weights])
        return replace(hit, pair=replace(hit.pair, parts=score_pair(weights, title).parts))


def _read_key(hit: Mapping[str, Any]) -> tuple[str, str, str]:
    return hit["_id"], hit["_index"], hit.get("_routing", "")
