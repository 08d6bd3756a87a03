"""A catalogue file into an index: create the index, write every product under its id, and report what was refused.

Loading again replaces the same documents, so an interrupted load is run once more. Products whose coded texts are the
same keep their codes. A file is read twice. The first reading finds all faults of the file before anything is written,
and the fields for the mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gram_os.catalogue import Product, read_products
from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import BulkItem
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_index_body, build_uncoded_query
from gram_os.cluster.labels import Attachment, read_attachment
from gram_os.cluster.mapping import walk_fields
from gram_os.errors import FileFormatError, IndexUnfitError
from gram_os.files.names import safe_name
from gram_os.loading.product_writer import DocumentMaker, ProductWriter, check_title_column, is_code_column
from gram_os.loading.survey import TITLE, Survey, survey_fields
from gram_os.rows import STDIN, OnFault, OnNote, has_texts_only

_MOST_REPEATED = 100  # ids that a report lists

_WHOLE_TYPES = ("long", "integer", "short", "byte", "unsigned_long")

OnItem = Callable[[BulkItem], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A catalogue file and how to read its columns.

    path: JSONL, CSV, TSV, XML or Parquet; "-" is JSONL on standard input. fields: the user's choice of a kind for a
    column, name -> one of `FIELD_KINDS`. skip_faulty: leave out rows that cannot be read.
    """

    path: Path | str
    id_field: str = "id"
    title_field: str = TITLE
    fields: Mapping[str, str] | None = None
    skip_faulty: bool = False

    def read(self, on_fault: OnFault | None = None, on_note: OnNote | None = None) -> Iterator[Product]:
        """Stream the products. Raises FileFormatError with the line and the field.

        Codes of gram-os are left out: a file may be an export of a coded index.
        """
        products = read_products(
            self.path,
            id_field=self.id_field,
            title_field=self.title_field,
            fields=self.fields,
            on_fault=(on_fault or _skip_row) if self.skip_faulty else _refuse_row,
            on_note=on_note,
        )
        return _leave_out_codes(products, on_note)


def _leave_out_codes(products: Iterator[Product], on_note: OnNote | None) -> Iterator[Product]:
    noted: set[str] = set()
    for product in products:
        found = [name for name in product.fields if name.startswith("gram_")]  # nearly always none of a thousand
        found = [name for name in found if is_code_column(name, product.fields[name])]
        if not found:
            yield product
            continue
        for name in found:
            if name not in noted and on_note is not None:
                on_note(f"column '{name}' is left out: it holds codes, and gram-os makes them anew")
            noted.add(name)
        yield replace(product, fields={name: value for name, value in product.fields.items() if name not in found})


def _skip_row(_: FileFormatError) -> None:
    """Leave a row out, where nobody asks which."""


def _refuse_row(fault: FileFormatError) -> None:
    fault.args = (f"{fault}; --skip-faulty skips and counts such rows",)
    raise fault


@dataclass(slots=True)
class _FaultCounter:
    """Counts faulty rows, and passes each on to a caller who asks which."""

    on_fault: OnFault | None
    count: int = 0

    def __call__(self, fault: FileFormatError) -> None:
        self.count += 1
        if self.on_fault is not None:
            self.on_fault(fault)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did. `written + refused` is the number of products read.

    replaced: how many of the written products were in the index before, or twice in the file. unmapped: fields that the
    documents have, but that nobody can filter by. skipped: rows that could not be read. repeated: ids that the file has
    more than once, the first `_MOST_REPEATED` of a new index. renamed: name in the file -> name in the index.
    notes: sentences about what was read in another way than it stands in the file. without_codes: label -> products of
    the index that have no codes of that label. kept_codes: label -> products that were written with the codes that they
    had, since the texts that are coded have not changed.
    """

    index: str
    created_index: bool
    written: int
    replaced: int
    refused: int
    unmapped: tuple[str, ...]
    skipped: int = 0
    repeated: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    without_codes: Mapping[str, int] = field(default_factory=dict)
    kept_codes: Mapping[str, int] = field(default_factory=dict, compare=False)


def survey_source(source: Source, *, on_fault: OnFault | None = None) -> Survey | None:
    """Read a file through and return its fields. None for standard input, which can be read only once.

    on_fault takes each row that `source` skips. Raises FileFormatError for a fault of the file, also when every row is
    faulty, and InputError for a second title column.
    """
    if str(source.path) == STDIN:
        return None
    faults = _FaultCounter(on_fault)
    notes: list[str] = []
    products = _check_titles(source, source.read(faults, notes.append))
    survey = survey_fields(products, source.fields, id_field=source.id_field, texts_only=has_texts_only(source.path))
    if not survey.products:
        raise FileFormatError(source.path, f"holds no product: all of its {faults.count} rows are faulty")
    return replace(survey, notes=(*notes, *survey.notes))


def _check_titles(source: Source, products: Iterator[Product]) -> Iterator[Product]:
    for product in products:
        check_title_column(source.title_field, product)
        yield product


def load_products(
    cluster: Cluster,
    index: str,
    source: Source,
    survey: Survey | None,
    *,
    on_item: OnItem,
    on_fault: OnFault | None = None,
) -> LoadReport:
    """Write every product of `source`. `on_item` is called for each one, also when it was refused.

    on_fault takes each row that `source` skips. Raises IndexUnfitError when the index has no text field for titles, or
    takes no writes.
    """
    created = prepare_index(cluster, index, survey, source.fields)
    types = {} if created else {field.path: field.type for field in walk_fields(cluster.get_mapping(index))}
    attachment = None if created else find_labels(cluster, index)
    maker = DocumentMaker(source.id_field, source.title_field, survey, types)
    writer = ProductWriter(cluster, index, attachment)
    written = replaced = refused = 0
    faults = _FaultCounter(on_fault)
    repeated: list[str] = []
    notes = list(survey.notes) if survey else []
    # The survey has noted what it left out already. Standard input has none.
    products = source.read(faults, None if survey else notes.append)
    for item in writer.write(map(maker.make, products)):
        if item.error is None:
            written += 1
            replaced += item.status == 200  # 201 is a new document
            if created and item.status == 200 and item.id is not None and len(repeated) < _MOST_REPEATED:
                repeated.append(item.id)
        elif item.blocked:
            raise explain_block(item.error, index, progress=f"{written} products were written")
        else:
            refused += 1
        on_item(item)
    cluster.refresh(index)
    return LoadReport(
        index,
        created,
        written,
        replaced,
        refused,
        survey.left_out if survey is not None and created else (),
        faults.count,
        tuple(repeated),
        maker.renamed(),
        (*notes, *_note_cut_numbers(survey, types), *_note_lost_codes(attachment, index)),
        count_without_codes(cluster, index, attachment),
        dict(writer.kept),
    )


def find_labels(cluster: Cluster, index: str) -> Attachment | None:
    """Return the labels of an index. None also when its `_meta.gram` is not what `attach` writes."""
    try:
        return read_attachment(cluster, index)
    except IndexUnfitError:
        return None


def count_without_codes(cluster: Cluster, index: str, attachment: Attachment | None) -> dict[str, int]:
    """Return for each label of the index how many products have no codes of it. Labels without such are left out."""
    counts: dict[str, int] = {}
    for label, state in attachment.labels.items() if attachment else ():
        count = cluster.count(index, build_uncoded_query(label, state.products))
        if count:
            counts[label] = count
    return counts


def _note_lost_codes(attachment: Attachment | None, index: str) -> list[str]:
    """Name the labels whose codes no reload can keep."""
    return [
        f"no product kept its codes of label {label}, since an older gram-os attached it; later loads keep them after: "
        f"gram-os attach --index {index} --label {label}"
        for label, state in (attachment.labels.items() if attachment else ())
        if state.coded_fields is None
    ]


def prepare_index(cluster: Cluster, index: str, survey: Survey | None, kinds: Mapping[str, str] | None = None) -> bool:
    """Create the index when it is missing, and return whether it was.

    survey: the fields of the catalogue; without one, `kinds` are the fields known so far. Raises IndexUnfitError for an
    existing index without a text field for titles.
    """
    if cluster.index_exists(index):
        _check_mapping(index, cluster.get_mapping(index))
        return False
    fields = {safe_name(name): kind for name, kind in (kinds or {}).items()} if survey is None else survey.fields
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


def _note_cut_numbers(survey: Survey | None, types: Mapping[str, str]) -> list[str]:
    """Say which fractions an existing index cuts: it keeps whole numbers only, and refuses none."""
    return [
        f"field '{name}' has fractions, but the index keeps it as {types[name]}: filters and sorting see whole "
        "numbers; load into a new index"
        for name, kind in (survey.fields.items() if survey else ())
        if kind == "float" and types.get(name) in _WHOLE_TYPES
    ]
