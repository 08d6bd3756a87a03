"""The source of a document's codes: its title and the fields that are coded, and the hash by which they are known.

Two documents with one hash have the same codes. The hash is stored with the codes, so whoever holds a document can say
whether its codes are current. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from gram_os.cluster.labels import LabelState
from gram_os.cluster.stock import CODED_HASH, TITLE_HASH
from gram_os.fields import read_field
from gram_os.files.raw_json import replace_member, split_object


def read_title(value: object) -> str | None:
    """Return the value of a title field as one text; a list of texts is joined by commas. None for anything else.

    >>> read_title("Lamp"), read_title(["Lamp", "red"]), read_title(" "), read_title(7)
    ('Lamp', 'Lamp, red', None, None)
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value):
        return ", ".join(value)
    return None


def source_hash(bundle_id: str, coded_fields: Iterable[str], title: str, document: Mapping[str, Any]) -> str:
    """Return sixteen hexadecimal digits of the bundle and of everything in a document that its codes are made from."""
    plain, dotted = _split(tuple(coded_fields))
    coded = {name: document[name] for name in plain & document.keys() if document[name] is not None}
    for name in dotted:
        value = read_field(document, name)
        if value is not None:
            coded[name] = value
    text = json.dumps([bundle_id, title, coded], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@cache
def _split(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the names that a document has as they are, and those that lead into objects. A million documents ask."""
    return frozenset(name for name in names if "." not in name), tuple(name for name in names if "." in name)


def find_source(state: LabelState, document: Mapping[str, Any]) -> str | None:
    """Return the hash of a document under a label.

    None for a document without a title, and when an older gram-os attached the label (`coded_fields` is None).
    """
    title = read_title(read_field(document, state.title_field))
    if title is None or state.coded_fields is None:
        return None
    return source_hash(state.bundle, state.coded_fields, title, document)


def put_codes(field: str, codes: str, stored: str) -> str:
    """Return a stored document (JSON) with a label's object, and the hash of its title in that (`copy_title_hash`)."""
    return replace_member(stored, field, copy_title_hash(codes, stored))


def copy_title_hash(codes: str, stored: str) -> str:
    """Put the hash of the title that a document has now beside the codes that were made from this title.

    The ingest pipeline of `gram_os.cluster.stock` has put the hash into the document, and compares the two at each
    write. codes: the label's object that is written (JSON). stored: the document as it is now (JSON), whose title is
    the one that was coded. Without the pipeline there is no hash, and the codes stay as they are.

    >>> copy_title_hash('{"source": "5e1c"}', '{"title": "Lamp", "gram_title_hash": "SHA-256@2.16.0:x="}')
    '{"source": "5e1c","title_hash":"SHA-256@2.16.0:x="}'
    >>> copy_title_hash('{"source": "5e1c"}', '{"title": "Lamp"}')
    '{"source": "5e1c"}'
    """
    if f'"{TITLE_HASH}"' not in stored:  # the usual case, and cheaper than to split the object
        return codes
    found = next((member.value for member in split_object(stored) if member.name == TITLE_HASH), None)
    return codes if found is None else replace_member(codes, CODED_HASH, found)
