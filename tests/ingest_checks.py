"""Documents of an index against what they should be: the writer's fields untouched, and the codes of their titles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.ingest.documents import ProductCoder


def write_documents(
    cluster: Cluster, index: str, documents: Mapping[str, Mapping[str, Any]], op: str = "index", **meta: Any
) -> None:
    """Write documents, id -> body, and expect that all are taken."""
    actions = [{"op": op, "index": index, "id": id_, "body": body, **meta} for id_, body in documents.items()]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(documents)


def read_all(cluster: Cluster, index: str) -> dict[str, dict[str, Any]]:
    """Return the hits of all documents by id."""
    cluster.refresh(index)
    return {hit["_id"]: hit for hit in cluster.scan(index, query={"match_all": {}}, source=True)}


def check_codes(
    cluster: Cluster, index: str, documents: Mapping[str, Mapping[str, Any]], coder: ProductCoder, field: str
) -> None:
    """Expect exactly these documents, each with the codes of its title, and nothing else changed."""
    found = {id_: dict(hit["_source"]) for id_, hit in read_all(cluster, index).items()}
    codes = {id_: source.pop(field, {}).get("codes") for id_, source in found.items()}
    assert found == documents
    products = [Product(id_, document["title"], document) for id_, document in documents.items()]
    expected = coder.code_batch(products)
    assert codes == {
        product.id: [str(scored.code) for scored in coded.codes]
        for product, coded in zip(products, expected, strict=True)
    }
