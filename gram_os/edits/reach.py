"""What an edit will do, before it is written: how many products it is for, and how a bundle reads its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gram_os.cluster.bulk import TRANSIENT
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_ids_query
from gram_os.cluster.facts import RESULT_WINDOW
from gram_os.cluster.labels import LabelState
from gram_os.edits.clauses import build_types_query
from gram_os.edits.corrections import Corrector
from gram_os.edits.edit import Correction
from gram_os.errors import ClusterAuthError, ClusterError, IndexMissingError, InputError
from gram_os.text.code import SEPARATOR


@dataclass(frozen=True, slots=True)
class Reach:
    """The products that an edit is for now.

    products: how many there are, None when that cannot be known. missing: ids that no product has.
    """

    products: int | None
    missing: tuple[str, ...] = ()


def find_reach(cluster: Cluster, state: LabelState, correction: Correction, corrector: Corrector | None) -> Reach:
    """Look for the products of a correction. corrector: reads the type of one that forbids; None finds none.

    Raises InputError when the cluster refuses its query, and IndexMissingError.
    """
    index = correction.index
    if correction.ids:
        body = {"query": build_ids_query(correction.ids), "size": RESULT_WINDOW, "_source": False}
        window = min(facts.result_window for facts in cluster.get_indices(index))
        hits = cluster.search(index, {**body, "size": min(window, RESULT_WINDOW)})["hits"]["hits"]
        found = {hit["_id"] for hit in hits}
        missing = tuple(id_ for id_ in correction.ids if id_ not in found) if len(hits) < window else ()
        return Reach(len(hits), missing)
    if correction.query is None:
        if corrector is None:
            return Reach(None)
        types = [corrector.normalise(correction.type or "")]
        return Reach(cluster.count(index, build_types_query(state.label, types)))
    query = {"bool": {"filter": [dict(correction.query), dict(state.product_query)]}}
    try:
        return Reach(cluster.count(index, query))
    except (*TRANSIENT, ClusterAuthError, IndexMissingError):
        raise
    except ClusterError as error:
        raise InputError(f"the query of the edit cannot be used: {error}") from error


def explain_reading(corrector: Corrector, correction: Correction) -> Iterator[str]:
    """Yield notes: how the words of a correction are read where that differs, and what the model does not know.

    Raises InputError for a code without a word.
    """
    forbidden = [] if correction.forbid is None else [correction.forbid]
    for text in (*correction.add, *correction.remove, *forbidden):
        values = [value for value, _ in corrector.read_values(text)]
        if not values:
            raise InputError(f"{text!r} holds no word that a product is found by")
        written = [part.partition("=")[2] or part for part in text.split(SEPARATOR.strip())]
        if sorted(values) != sorted(part.strip() for part in written):
            yield f"'{text}' is read as '{SEPARATOR.join(values)}'"
    for text in correction.add:
        for value, kind in corrector.find_unknown(text):
            hint = "" if kind else f"; write its type in front, such as product_type={value}"
            yield f"the model does not know '{value}', so only queries with its words find it{hint}"
    if correction.type and (read := corrector.normalise(correction.type)) != correction.type:
        yield f"the type '{correction.type}' is read as '{read}'"
