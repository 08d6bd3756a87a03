"""How much of an index each of its labels covers, and about how much disk each takes. Counts of the cluster, exact."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import code_field
from gram_os.cluster.labels import Attachment, LabelState, read_attachment
from gram_os.errors import IndexUnfitError

_SAMPLE: Final = 200  # documents


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an index has codes of a label, in numbers of documents unless it says otherwise.

    products: what the label is for. coded: products that went through the model. with_codes: those that got a code.
    codes: the number of codes in all of them. typed: those with a product type. last_coded_at: ISO 8601, UTC, None when
    nothing is coded.
    """

    products: int = 0
    coded: int = 0
    with_codes: int = 0
    codes: int = 0
    typed: int = 0
    last_coded_at: str | None = None

    @property
    def share(self) -> float:
        """The share of the products that have a code, 0 to 1."""
        return self.with_codes / self.products if self.products else 1.0

    @property
    def mean_codes(self) -> float:
        """The mean number of codes of the products that have one."""
        return self.codes / self.with_codes if self.with_codes else 0.0

    @property
    def untyped_share(self) -> float:
        """The share of the coded products without a product type, 0 to 1."""
        return 1 - self.typed / self.coded if self.coded else 0.0

    def __add__(self, other: Coverage) -> Coverage:
        """Return the coverage of two indices together."""
        last = max(filter(None, (self.last_coded_at, other.last_coded_at)), default=None)
        return Coverage(
            self.products + other.products, self.coded + other.coded, self.with_codes + other.with_codes,
            self.codes + other.codes, self.typed + other.typed, last,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Store:
    """What an index takes on all disks, replicas included. deleted: old versions of documents that wait for a merge."""

    bytes: int
    deleted: int


@dataclass(frozen=True, slots=True)
class LabelVersion:
    """A label of an index.

    state: None when the label was dropped and some documents still have its codes. disk_bytes: what its codes take, an
    estimate: their part of `_source`, over a sample of documents, times the size of the index with its replicas.
    """

    index: str
    label: str
    state: LabelState | None
    is_active: bool
    is_previous: bool
    coverage: Coverage
    disk_bytes: int


def list_labels(cluster: Cluster, name: str) -> list[LabelVersion]:
    """Return the labels of an index, or of each index of an alias, the active one first.

    Raises IndexMissingError. Raises IndexUnfitError when there is no label at all.

    >>> from gram_os import Cluster, load_settings
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> [(found.label, found.is_active, found.coverage.coded) for found in list_labels(cluster, "products")]
    [('v1', True, 100)]
    >>> cluster.close()
    """
    cluster.refresh(name)
    found: list[LabelVersion] = []
    for facts in cluster.get_indices(name):
        attachment = read_attachment(cluster, facts.name) or Attachment("", {})
        estimate = _estimate_disk(cluster, facts.name)
        for label in dict.fromkeys([*attachment.labels, *find_mapped_labels(facts.mapping)]):
            state = attachment.labels.get(label)
            coverage = read_coverage(cluster, facts.name, state or LabelState(label, "", ""))
            if state is not None or coverage.coded:
                found.append(
                    LabelVersion(
                        facts.name, label, state, label == attachment.active, label == attachment.previous, coverage,
                        estimate(label),
                    )
                )  # fmt: skip
    if not found:
        raise IndexUnfitError(f"index '{name}' has no codes yet; run: gram-os attach --index {name}")
    return sorted(found, key=lambda version: (version.index, not version.is_active, version.state is None))


def find_mapped_labels(mapping: Mapping[str, Any]) -> list[str]:
    """Return the labels whose fields are in a mapping, dropped ones too.

    >>> find_mapped_labels({"properties": {"gram_v1": {"properties": {"source": {}}}, "gram_price": {"type": "long"}}})
    ['v1']
    """
    prefix = code_field("")
    fields = {name: body.get("properties", {}) for name, body in mapping.get("properties", {}).items()}
    return [name.removeprefix(prefix) for name in fields if name.startswith(prefix) and "source" in fields[name]]


def read_coverage(cluster: Cluster, index: str, state: LabelState) -> Coverage:
    """Count what an index has of a label, as searches see it."""
    field = code_field(state.label)
    body = {
        "size": 0,
        "track_total_hits": True,
        "query": dict(state.product_query),
        "aggs": {
            "coded": {"filter": {"exists": {"field": f"{field}.source"}}},
            "with_codes": {"filter": {"exists": {"field": f"{field}.codes"}}},
            "codes": {"value_count": {"field": f"{field}.codes"}},
            "typed": {"filter": {"exists": {"field": f"{field}.attributes.product_type"}}},
            "last": {"max": {"field": f"{field}.coded_at", "format": "strict_date_time_no_millis"}},
        },
    }
    answer = cluster.search(index, body)
    found = answer["aggregations"]
    return Coverage(
        products=int(answer["hits"]["total"]["value"]),
        coded=int(found["coded"]["doc_count"]),
        with_codes=int(found["with_codes"]["doc_count"]),
        codes=int(found["codes"]["value"]),
        typed=int(found["typed"]["doc_count"]),
        last_coded_at=found["last"].get("value_as_string") if found["last"]["value"] is not None else None,
    )


def read_store(cluster: Cluster, name: str) -> Store:
    """Read what an index takes on disk now. Segments are counted, because `_stats/store` is up to ten seconds old."""
    kept = "indices.*.shards.*.segments.*.size_in_bytes,indices.*.shards.*.segments.*.deleted_docs"
    path = f"/{quote(name, safe='*,')}/_segments"
    answer = cluster.request("GET", path, params={"filter_path": kept}, index=name)
    copies = [copy for one in answer.get("indices", {}).values() for shard in one["shards"].values() for copy in shard]
    segments = [segment for copy in copies for segment in copy["segments"].values()]
    return Store(sum(one["size_in_bytes"] for one in segments), sum(one["deleted_docs"] for one in segments))


def _estimate_disk(cluster: Cluster, index: str) -> Callable[[str], int]:
    """Look at some documents, and return the estimate of what the codes of a label take on disk, in bytes."""
    random = {"function_score": {"query": {"match_all": {}}, "random_score": {"seed": 1, "field": "_seq_no"}}}
    hits = cluster.search(index, {"query": random, "size": _SAMPLE, "_source": True})["hits"]["hits"]
    sources: Sequence[Mapping[str, Any]] = [hit.get("_source", {}) for hit in hits]
    whole = sum(map(_count_bytes, sources))
    size = read_store(cluster, index).bytes

    def estimate(label: str) -> int:
        field = code_field(label)
        part = sum(_count_bytes(source[field]) for source in sources if field in source)
        return round(size * part / whole) if whole else 0

    return estimate


def _count_bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
