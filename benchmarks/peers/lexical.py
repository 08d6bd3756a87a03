"""BM25 in a real OpenSearch: on the titles, and on titles with extra text (document expansion).

Starts a node of its own where no address is given. Deletes its index afterwards.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.interface import DEPTH, Benchmark, Rankings
from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_index_body, build_search, build_text_query
from gram_os.embedded import resolve_cluster
from gram_os.errors import FileFormatError, GramError, InputError
from gram_os.rows import read_rows
from gram_os.settings import load_settings

SEARCHES_AT_ONCE = 50


@dataclass(frozen=True)
class Bm25:
    """`match` on the title with the `english` analyzer and Lucene's default parameters (k1 = 1.2, b = 0.75)."""

    url: str | None = field(default=None, repr=False)  # no setting: the address does not change the run
    name: str = "bm25"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank without learning anything."""
        return rank_lexically({p.id: p.title for p in bench.products}, queries, self.url)


@dataclass(frozen=True)
class ExpandedBm25:
    """The same query on titles with extra text appended, as docTTTTTquery does.

    `extra` is a file of JSON lines with `id` and `text` (a text or a list of texts), for example the values that a
    generator wrote for the title. Such a generator was trained on clicks. For held-out queries, use a generator that
    was trained without their clicks. Raises InputError when the file does not exist.
    """

    extra: Path = field(repr=False)
    url: str | None = field(default=None, repr=False)
    name: str = "bm25_expanded"
    digest: str = field(init=False)  # hash of the file, because its text is a setting

    def __post_init__(self) -> None:
        if not self.extra.is_file():
            raise InputError(f"there is no {self.extra}; it holds the extra text of each product as JSON lines")
        object.__setattr__(self, "digest", hashlib.sha256(self.extra.read_bytes()).hexdigest()[:12])

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank without learning anything; only the generator of the extra texts has learned."""
        return rank_lexically(expand_titles(bench.products, read_extra(self.extra)), queries, self.url)


def read_extra(path: Path) -> dict[str, str]:
    """Return product id -> extra text. Raises FileFormatError for a text of another form."""
    found = {}
    for line, row in read_rows(path, required=("id", "text")):
        text = row["text"]
        texts = text if isinstance(text, list) else [text]
        if not all(isinstance(each, str) for each in texts):
            raise FileFormatError(path, "is a text or a list of texts", line=line, field="text")
        found[str(row["id"])] = " ".join(map(str, texts))
    return found


def expand_titles(products: Sequence[Product], extra: Mapping[str, str]) -> dict[str, str]:
    """Return product id -> title with its extra text.

    Raises InputError when no product has an extra text: then the ids do not match.
    """
    if not any(product.id in extra for product in products):
        raise InputError(f"none of the {len(extra)} extra texts has the id of a product of the catalogue")
    return {p.id: f"{p.title} {extra[p.id]}" if p.id in extra else p.title for p in products}


def rank_lexically(texts: Mapping[str, str], queries: Mapping[str, str], url: str | None) -> Rankings:
    """Rank texts (product id -> text) for the queries by BM25, in an index that is deleted afterwards."""
    with _open_index(texts, url) as (cluster, index):
        found: Rankings = {}
        pairs = list(queries.items())
        for start in range(0, len(pairs), SEARCHES_AT_ONCE):
            batch = pairs[start : start + SEARCHES_AT_ONCE]
            bodies = [build_search(build_text_query("title", text), DEPTH) for _, text in batch]
            for (query_id, _), answer in zip(batch, cluster.msearch(index, bodies), strict=True):
                found[query_id] = [(hit["_id"], float(hit["_score"])) for hit in answer["hits"]["hits"]]
        return found


@contextmanager
def _open_index(texts: Mapping[str, str], url: str | None) -> Iterator[tuple[Cluster, str]]:
    with tempfile.TemporaryDirectory(prefix="gram-os-quality-", ignore_cleanup_errors=True) as folder:
        settings = load_settings(cluster={"url": url, "timeout_s": 120}, data_dir=Path(folder))
        with resolve_cluster(settings, attached=True) as cluster:
            index = f"gram-os-quality-{uuid.uuid4().hex}"
            cluster.create_index(index, build_index_body({}))
            try:
                _write(cluster, index, texts)
                yield cluster, index
            finally:
                cluster.delete_index(index)


def _write(cluster: Cluster, index: str, texts: Mapping[str, str]) -> None:
    actions = ({"op": "index", "index": index, "id": id_, "body": {"title": text}} for id_, text in texts.items())
    for item in cluster.bulk(actions, chunk=2000):
        if not item.ok:
            raise GramError(f"product '{item.id}' was not indexed: {item.error}")
    cluster.refresh(index)
