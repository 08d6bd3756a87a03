"""The table of checks: what an index must offer for codes. `index_checks.py` has the checks themselves.

`attach` and `backfill` refuse an index with these words, and `attach --dry-run` prints all of them. Nothing here
changes an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gram_os.cluster.client import Cluster
from gram_os.cluster.index_checks import CHECKS, Check, Verdict, Wanted, check_name
from gram_os.cluster.source_filter import read_source_filter
from gram_os.errors import IndexUnfitError
from gram_os.fields import read_field

__all__ = ["Check", "Verdict", "check_index", "require_fit"]

_LOOKED_AT: Final = 20  # documents


def check_index(
    cluster: Cluster, index: str, label: str, title_field: str, products: Mapping[str, Any] | None = None
) -> tuple[Check, ...]:
    """Check an index for a label, and return all lines of the table.

    products: the clause that tells products from other documents; all documents are products by default. When the name
    does not stand for one index, the other checks are left out. Raises IndexMissingError, and ClusterError for a clause
    that the cluster does not take.
    """
    wanted = Wanted(index, cluster.get_indices(index), label, title_field)
    name = check_name(wanted)
    if name.verdict is Verdict.REFUSED:
        return (name,)
    wanted = _count(cluster, wanted, products or {"match_all": {}})
    checks = [name, *(check(wanted) for check in CHECKS)]
    if all(check.verdict is not Verdict.REFUSED for check in checks):
        checks.append(_check_rights(cluster, wanted.index.name))
    return tuple(checks)


def require_fit(checks: Sequence[Check], index: str) -> None:
    """Raise IndexUnfitError when a check refuses the index."""
    refused = [check for check in checks if check.verdict is Verdict.REFUSED]
    if refused:
        others = f"; {len(refused) - 1} more reasons: see attach --dry-run" if len(refused) > 1 else ""
        raise IndexUnfitError(f"index '{index}': {refused[0]}{others}")


def _check_rights(cluster: Cluster, index: str) -> Check:
    """The user may change documents, and sees all of their fields.

    With field-level security, a document that is written back would lose what the user does not see. The security
    plugin refuses partial updates then, so an update of a document that is not there tells.
    """
    refused = cluster.try_update(index)
    if refused is None:
        return Check("rights", Verdict.OK, "documents can be written")
    cure = "use a role that reads and writes the index without field-level security, document-level security and masks"
    return Check("rights", Verdict.REFUSED, f"the cluster takes no update: {refused}", cure)


def _count(cluster: Cluster, wanted: Wanted, products: Mapping[str, Any]) -> Wanted:
    """Count the documents and look at some, when the title can be searched and there is a `_source`."""
    if wanted.titles is None or not read_source_filter(wanted.index.mapping).enabled:
        return wanted
    index, (held, searched) = wanted.index.name, wanted.titles
    titled = {"exists": {"field": searched}}
    answer = cluster.search(index, {"query": titled, "size": _LOOKED_AT, "_source": [held]})
    titles = [read_field(hit.get("_source", {}), held) for hit in answer["hits"]["hits"]]
    return replace(
        wanted,
        products=cluster.count(index, products),
        untitled=cluster.count(index, {"bool": {"filter": [products], "must_not": [titled]}}),
        is_held=any(title is not None for title in titles) if titles else None,
    )
