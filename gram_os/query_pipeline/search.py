"""A query against one index: recall and ranking by code, by the title's words, or by the sum of both.

    text -> rewrite.py -> clauses of the pair score --+
    text -> match on the title, in hybrid ------------+--> one search; the cluster adds the scores up --> hits

It knows the generator by a Protocol and the cluster by `Cluster`. What becomes of the text stands in rewrite.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import HAND_WRITTEN, build_ids_query, build_search, build_text_query, read_weights
from gram_os.cluster.facts import RESULT_WINDOW
from gram_os.errors import InputError
from gram_os.model.coded import CodedText, ScoredCode, names_type
from gram_os.query_pipeline.frequencies import CodeFrequencies
from gram_os.query_pipeline.hit import Hit
from gram_os.query_pipeline.rewrite import CodeGenerator, build_clause, clean_query, find_codes, fold_query, weigh_codes
from gram_os.query_pipeline.scorer import PairScore, WeightedCode, score_pair
from gram_os.text.attribute import TypedValue

_NAMING = 0.2  # of a word in BM25 that names the type that a query asks for; of another word 1
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
    default. result_window: the last hit that the index returns for a query. edits: the field with people's edits.
    """

    index: str
    title: str
    codes: str
    weights: str
    text: str | None = None
    result_window: int = RESULT_WINDOW
    edits: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query, best first, and what the search knew of it (nothing in mode bm25).

    codes, attributes: see `CodedText`. weights: what the index ranks by, heaviest first.
    """

    hits: tuple[Hit, ...]
    codes: tuple[ScoredCode, ...] = ()
    attributes: tuple[TypedValue, ...] = ()
    weights: tuple[WeightedCode, ...] = ()


class QueryPipeline:
    """Searches one index in any of the three modes. Open one with `gram_os.open_pipeline`.

    lexical_weight: what a point of BM25 counts in the mode hybrid, beside a point of the pair score; less in a query
    whose words name a product type.

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
        lexical_weight: float = 1.0,
        frequencies: CodeFrequencies | None = None,
    ):
        self.fields = fields
        self._cluster = cluster
        self._generator = generator
        self._idf_exponent, self._lexical_weight = idf_exponent, lexical_weight
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
        explain: fill `pair` and `bm25` of a hybrid's hits, which takes one more request, the parts of the pair scores,
        and the edits.

        An empty query finds nothing. Raises InputError for an offset or a size below 0, or beyond the index's result
        window.
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
        coded = self._generator.code_queries([fold_query(text)])[0] if mode is not Mode.BM25 else CodedText()
        weights = self._weigh(coded)
        query = self._build_query(text, mode, coded, weights)
        if query is None:
            return Answer((), coded.codes, coded.attributes, weights)
        explained = (self.fields.weights if weights else None, self.fields.edits)
        fields = [name for name in explained if name is not None] if explain else []
        body = build_search(query, size, start=start, filters=filters, source=source, fields=fields)
        found = self._cluster.search(self.fields.index, body)["hits"]["hits"]
        lexical = self._read_lexical(text, found) if explain and mode is Mode.HYBRID else None
        boost = self._boost_words(coded)
        hits = tuple(self._read_hit(document, mode, weights, lexical, boost) for document in found)
        return Answer(hits, coded.codes, coded.attributes, weights)

    def _weigh(self, coded: CodedText) -> tuple[WeightedCode, ...]:
        """Return the query's weights for the codes that the index holds, heaviest first."""
        idf = self._frequencies.idf([str(scored.code) for scored in coded.weights])
        return weigh_codes(coded.weights, idf, idf_exponent=self._idf_exponent)

    def _build_query(
        self, text: str, mode: Mode, coded: CodedText, weights: Sequence[WeightedCode]
    ) -> Mapping[str, Any] | None:
        """Return the query that finds and scores the hits. None when the mode has nothing to search for."""
        fields, codes = self.fields, find_codes(coded)
        if mode is Mode.BM25:
            return self._build_words(text)
        lexical = self._build_words(text, self._boost_words(coded)) if mode is Mode.HYBRID else None
        if not codes and not weights and lexical is None:
            return None
        return build_clause(weights, codes, codes_field=fields.codes, weights_field=fields.weights, lexical=lexical)

    def _boost_words(self, coded: CodedText) -> float:
        """Return what a point of BM25 counts for a query.

        Words that name the type that it asks for count `_NAMING` where the weights hold types, because the type counts
        for them: "laptop" alone finds laptop sleeves by its words.
        """
        is_type = [names_type(scored.code) for scored in coded.weights]
        own = [str(s.code) for s, is_kind in zip(coded.weights, is_type, strict=True) if s.own and not is_kind]
        words = [value for value in own if " " not in value]
        if not words or not any(is_type):
            return self._lexical_weight
        naming = coded.naming_words
        share = sum(word in naming for word in words) / len(words)
        return self._lexical_weight * (1 - (1 - _NAMING) * share)

    def _build_words(self, text: str, boost: float = 1.0) -> dict[str, Any]:
        return build_text_query(self.fields.text or self.fields.title, text, boost)

    def _read_lexical(self, text: str, found: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], float]:
        """Return the BM25 scores of documents that a search found, 0 where the words do not find them."""
        if not found:
            return {}
        # An id may name a document in each index of an alias, and in each shard that a routing leads to.
        size = min(self.fields.result_window, _SAME_ID * len(found))
        query = build_ids_query((document["_id"] for document in found), self._build_words(text))
        answer = self._cluster.search(self.fields.index, build_search(query, size))
        return {_read_key(document): float(document["_score"]) for document in answer["hits"]["hits"]}

    def _read_hit(
        self,
        document: Mapping[str, Any],
        mode: Mode,
        weights: Sequence[WeightedCode],
        lexical: Mapping[tuple[str, str, str], float] | None,
        boost: float,
    ) -> Hit:
        """Read a hit of a mode.

        lexical: BM25 scores by document, None where nobody asked for them. boost: what a point of BM25 counts.
        """
        score = float(document["_score"])
        edits = tuple(document.get("fields", {}).get(self.fields.edits, ()))
        hit = Hit(document["_id"], score, source=document.get("_source"), index=document["_index"], edits=edits)
        if mode is Mode.BM25:
            return replace(hit, bm25=score)
        stored = document.get("fields", {}).get(self.fields.weights, [])
        parts = score_pair(weights, read_weights(stored, [str(w.code.code) for w in weights])).parts
        if mode is Mode.GRAM:
            return replace(hit, pair=PairScore(score, parts))
        if lexical is None:
            return hit
        bm25 = lexical.get(_read_key(document), 0.0)
        total = max(0.0, score - boost * bm25)
        found_by_code = parts or total > HAND_WRITTEN / 2
        return replace(hit, pair=PairScore(total, parts) if found_by_code else None, bm25=bm25 or None)


def _read_key(document: Mapping[str, Any]) -> tuple[str, str, str]:
    return document["_id"], document["_index"], document.get("_routing", "")
