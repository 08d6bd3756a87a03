"""Rows of a Parquet catalogue as products: ids, titles, and fields under the names that an index gives them.

The codes of a row are then those of its document in an index, with the same hash. Knows no Parquet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.fields import read_field
from gram_os.files.json_values import as_json
from gram_os.files.names import FieldNames, safe_value
from gram_os.loading.sources import read_title
from gram_os.loading.survey import TITLE

#: The column with the reason, in the Parquet files of rows that were refused.
REASON: Final = "gram_refusal"
_LONGEST_ID: Final = 512  # bytes; OpenSearch's limit


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads rows as products. columns: all columns of the catalogue. id_field, title_field: paths, `name.en` too."""

    id_field: str
    title_field: str
    columns: tuple[str, ...]

    def check(self, added: str) -> None:
        """Raise InputError when a column is missing, or has a name that is needed. added: the column of the codes."""
        for option, field in (("--id-field", self.id_field), ("--title-field", self.title_field)):
            if not any(_meet(column, field) for column in self.columns):
                known = ", ".join(self.columns[:12])
                raise InputError(f"the catalogue has no column '{field}' (it has {known}); name another with {option}")
        for taken in (added, REASON):
            if taken in self.columns:
                raise InputError(f"the catalogue has a column '{taken}', which gram-os writes; rename or drop it")
        if TITLE in self.columns and self.title_field.partition(".")[0] != TITLE:
            raise InputError(
                f"the catalogue has a column '{TITLE}' beside '{self.title_field}'; an index keeps the title under "
                "that name: use that column, or rename it"
            )

    def choose_columns(self, fields: Iterable[str]) -> list[str]:
        """Return the columns that codes are made from. fields: the bundle's coded fields, as an index names them."""
        names = self.names()
        wanted = [self.id_field, self.title_field]
        return [
            column
            for column in self.columns
            if any(_meet(column, field) for field in wanted)
            or any(_meet(names.find(column), field) for field in fields)
        ]

    def names(self) -> FieldNames:
        """Return the names of all columns with those that an index gives them, as `gram-os load` does."""
        return FieldNames((column for column in self.columns if column != self.title_field), taken=(TITLE,))

    def read(self, row: Mapping[str, object], names: FieldNames) -> Product:
        """Read a row, which may have a part of the columns. Raises InputError with the reason when it is no product."""
        clean = {name: item for name, value in row.items() if (item := _read_value(name, value)) is not None}
        id_ = _read_id(read_field(clean, self.id_field), self.id_field)
        found = read_field(clean, self.title_field)
        title = read_title(found)
        if title is None:
            what = "has no title" if found in (None, "", []) else f"has a title that is no text: {str(found)[:40]!r}"
            raise InputError(f"{what} in column '{self.title_field}'")
        clean.pop(self.title_field, None)
        fields = {names.find(name): safe_value(value) for name, value in clean.items()}
        return Product(id_, title, fields)

    def build_document(self, product: Product, names: FieldNames) -> dict[str, Any]:
        """Build the document of a product."""
        body = dict(product.fields)
        if self.id_field in self.columns:
            body[names.find(self.id_field)] = product.id
        body[TITLE] = product.title
        return body


def _meet(column: str, field: str) -> bool:
    """Say whether a column is a field, or an object around it.

    >>> _meet("name", "name.en"), _meet("name.en", "name.en"), _meet("name", "names")
    (True, True, False)
    """
    return field == column or field.startswith(f"{column}.")


def _read_value(name: str, value: object) -> object:
    try:
        return as_json(value)
    except InputError as error:
        raise InputError(f"column '{name}': {error}") from error


def _read_id(value: object, field: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InputError(f"has no id in column '{field}'")
    if not isinstance(value, str):
        raise InputError(f"has an id that is neither text nor integer in column '{field}': {str(value)[:40]!r}")
    if len(value.encode("utf-8", "surrogatepass")) > _LONGEST_ID:
        raise InputError(f"has an id of more than {_LONGEST_ID} bytes in column '{field}'")
    return value


def join_columns(schemas: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return all names of several files, each once, in the order of their first place."""
    return tuple(dict.fromkeys(name for names in schemas for name in names))
