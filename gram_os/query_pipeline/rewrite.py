"""Rewrite a query: a text's codes -> weighted codes -> one OpenSearch clause.

Pure: it takes values and gives values back. The codes come from a generator, the idf values from whoever counted the
index, so the clause fits into any `_search` body. Nothing here talks to a cluster or runs a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gram_os.cluster.dsl import build_codes_query
from gram_os.model.bundle import Bundle
from gram_os.model.generator import ScoredCode
from gram_os.query_pipeline.scorer import WeightedCode

MAX_CLAUSES = 1000  # indices.query.bool.max_clause_count is 1,024 by default
MAX_QUERY_CHARACTERS = 1000  # nobody types more; 100 kB of text would become thousands of clauses


class CodeGenerator(Protocol):
    """Makes the codes of queries."""

    def code_queries(self, texts: Sequence[str]) -> list[list[ScoredCode]]:
        """Return the codes of each query."""


class BundleGenerator(CodeGenerator, Protocol):
    """A `CodeGenerator` that says which bundle it runs."""

    @property
    def bundle(self) -> Bundle:
        """The bundle. It must be the one that coded the index."""


def clean_query(text: str) -> str:
    """Make a query fit for the cluster: no lone surrogates, single spaces, at most `MAX_QUERY_CHARACTERS` characters.

    >>> clean_query("  HP  Toner ")
    'HP Toner'
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(text.split())[:MAX_QUERY_CHARACTERS]


def fold_query(text: str) -> str:
    """Return the text that a query is coded and remembered by.

    Queries that differ in case and spaces only are one query.

    >>> fold_query("  HP  Toner ")
    'hp toner'
    """
    return " ".join(text.lower().split())


def weigh_codes(
    codes: Sequence[ScoredCode], idf: Sequence[float], *, idf_exponent: float = 1.0
) -> tuple[WeightedCode, ...]:
    """Weigh a query's codes against one index: the query's weight times idf ** idf_exponent, heaviest first.

    idf: one value for each code, 0 for a code that no document holds. Codes without idf or weight are left out, and the
    lightest ones above `MAX_CLAUSES`.

    >>> from gram_os.text.code import Code
    >>> codes = [ScoredCode(Code((value,)), None, own=True) for value in ("toner", "xerox", "zebra")]
    >>> [(str(weighted.code.code), weighted.weight) for weighted in weigh_codes(codes, [2.0, 3.0, 0.0])]
    [('xerox', 3.0), ('toner', 2.0)]
    """
    weighted = [
        WeightedCode(code, code.weight * value**idf_exponent)
        for code, value in zip(codes, idf, strict=True)
        if value > 0 and code.weight > 0
    ]
    return tuple(sorted(weighted, key=lambda code: -code.weight)[:MAX_CLAUSES])


def build_clause(codes: Sequence[WeightedCode], *, codes_field: str, weights_field: str) -> dict[str, Any]:
    """Build the clause that finds and ranks documents by weighted codes. Without codes it matches nothing.

    >>> build_clause([], codes_field="gram_v1.codes", weights_field="gram_v1.weights")
    {'match_none': {}}
    """
    if not codes:
        return {"match_none": {}}
    weights = {str(weighted.code.code): weighted.weight for weighted in codes}
    return build_codes_query(codes_field, weights_field, weights)


def rewrite_query(
    codes: Sequence[ScoredCode],
    idf: Sequence[float],
    *,
    codes_field: str,
    weights_field: str,
    idf_exponent: float = 1.0,
) -> dict[str, Any]:
    """Turn a query's codes into one clause for any `_search` body; see `weigh_codes` and `build_clause`.

    >>> from gram_os.text.code import Code
    >>> toner = ScoredCode(Code(("toner",)), None, own=True)
    >>> clause = rewrite_query([toner], [2.5], codes_field="gram_v1.codes", weights_field="gram_v1.weights")
    >>> clause["bool"]["should"][0]
    {'rank_feature': {'field': 'gram_v1.weights.toner', 'linear': {}, 'boost': 2.5}}
    """
    weighted = weigh_codes(codes, idf, idf_exponent=idf_exponent)
    return build_clause(weighted, codes_field=codes_field, weights_field=weights_field)
