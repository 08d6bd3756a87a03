"""A catalogue file into an index: create the index, write every product under its id, and report what was refused.

Loading again replaces the same documents, so an interrupted load is run once more. A file is read twice. The first
reading finds all faults of the file before anything is written, and the fields for the mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gram_os.catalogue import Product, read_products
from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import BulkItem
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_index_body
from gram_os.errors import IndexUnfitError, InputError
from gram_os.ingest.survey import Survey, survey_fields
from gram_os.rows import STDIN

TITLE = "title"

OnItem = Callable[[BulkItem], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A catalogue file and how to read its columns.

    path: JSONL, CSV, TSV or Parquet; "-" is JSONL on standard input. fields: the user's choice of a kind for a column,
    name -> one of `FIELD_KINDS`.
    """

    path: Path | str
    id_field: str = "id"
    title_field: str = TITLE
    fields: Mapping[str, str] | None = None

    def read(self) -> Iterator[Product]:
        """Stream the products. Raises FileFormatError with the line and the field."""
        return read_products(self.path, id_field=self.id_field, title_field=self.title_field, fields=self.fields)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did. `written + refused` is the number of products read.

    replaced: how many of the written products were in the index before, or twice in the file. unmapped: fields that the
    documents have, but that nobody can filter by.
    """

    index: str
    created_index: bool
    written: int
    replaced: int
    refused: int
    unmapped: tuple[str, ...]


def survey_source(source: Source) -> Survey | None:
    """Read a file through and return its fields. None for standard input, which can be read only once.

    Raises FileFormatError for a fault of the file, and InputError for a second title column.
    """
    if str(source.path) == STDIN:
        return None
    products = source.read()
    return survey_fields(map(_check_title_column, products), source.fields)


def _check_title_column(product: Product) -> Product:
    if TITLE in product.fields:
        raise InputError(
            f"product '{product.id}' has a column '{TITLE}' beside the one given as title; "
            f"the index keeps the title under that name: use that column, or rename it in the file"
        )
    return product


def load_products(
    cluster: Cluster, index: str, source: Source, survey: Survey | None, *, on_item: OnItem
) -> LoadReport:
    """Write every product of `source`. `on_item` is called for each one, also when it was refused.

    Raises IndexUnfitError when the index has no text field for titles, or takes no writes.
    """
    created = prepare_index(cluster, index, survey, source.fields)
    written = replaced = refused = 0
    for item in cluster.bulk(_make_action(index, source, product) for product in source.read()):
        if item.error is None:
            written += 1
            replaced += item.status == 200  # 201 is a new document
        elif item.blocked:
            raise explain_block(item.error, index, progress=f"{written} products were written")
        else:
            refused += 1
        on_item(item)
    cluster.refresh(index)
    unmapped = survey.left_out if survey is not None and created else ()
    return LoadReport(index, created, written, replaced, refused, unmapped)


def prepare_index(cluster: Cluster, index: str, survey: Survey | None, kinds: Mapping[str, str] | None = None) -> bool:
    """Create the index when it is missing, and return whether it was.

    survey: the fields of the catalogue; without one, `kinds` are the fields known so far. Raises IndexUnfitError for an
    existing index without a text field for titles.
    """
    if cluster.index_exists(index):
        _check_mapping(index, cluster.get_mapping(index))
        return False
    fields = dict(kinds or {}) if survey is None else survey.fields
    has_all_fields = survey is None or not survey.left_out
    cluster.create_index(index, build_index_body(fields, dynamic=has_all_fields))
    return True


def _check_mapping(index: str, mapping: Mapping[str, object]) -> None:
    properties = mapping.get("properties")
    title = properties.get(TITLE) if isinstance(properties, Mapping) else None
    kind = title.get("type", "object") if isinstance(title, Mapping) else None
    if kind == "text":
        return
    found = f"its field '{TITLE}' is of type {kind}" if kind else f"it has no field '{TITLE}'"
    raise IndexUnfitError(
        f"index '{index}' exists, but {found}, and titles are searched as text; "
        f"load into a new index, which then gets a fitting mapping"
    )


def _make_action(index: str, source: Source, product: Product) -> dict[str, object]:
    _check_title_column(product)
    body = {source.id_field: product.id, **product.fields, TITLE: product.title}
    return {"op": "index", "index": index, "id": product.id, "body": body}
