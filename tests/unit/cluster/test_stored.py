"""The answer of `_mget`: each document's `_source` as it is written, found without splitting the whole text."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gram_os.cluster.stored import StoredDocument, read_multi_get
from gram_os.files.raw_json import split_object

NAMES = st.sampled_from(["a", '"_source":', "_source", "x\\", 'q"', "{", "]", "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def _answer(ids: list[str], sources: list[dict[str, Any] | None], *, spaces: bool, fields: bool) -> str:
    documents = []
    for id_, source in zip(ids, sources, strict=True):
        document: dict[str, Any] = {"_index": "shop", "_id": id_}
        if source is None:
            documents.append({**document, "found": False})
            continue
        document |= {"_version": 3, "_seq_no": 7, "_primary_term": 1, "_routing": id_, "found": True, "_source": source}
        documents.append({**document, "fields": {"_source": [1]}} if fields else document)
    return json.dumps({"docs": documents}, separators=(", ", ": ") if spaces else (",", ":"))


@given(
    st.lists(st.tuples(NAMES, st.none() | st.dictionaries(NAMES, VALUES, max_size=4)), max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_a_source_is_read_as_it_is_written(
    rows: list[tuple[str, dict[str, Any] | None]], spaces: bool, fields: bool
) -> None:
    text = _answer([id_ for id_, _ in rows], [source for _, source in rows], spaces=spaces, fields=fields)
    read = read_multi_get(json.loads(text)["docs"], text)
    found = [one.source if isinstance(one, StoredDocument) else None for one in read]
    assert [source and json.loads(source) for source in found] == [source for _, source in rows]
    if rows and rows[0][1] is not None:  # against the slow way
        first = split_object(text[text.index("[") + 1 :])
        (written,) = (member.value for member in first if member.name == "_source")
        assert read[0] == StoredDocument(written, 3, 7, 1)


def test_an_error_stands_for_its_document() -> None:
    text = (
        '{"docs":[{"_index":"i","_id":"1","error":{"type":"x","reason":"y"}},{"_index":"i","_id":"2","found":false}]}'
    )
    assert read_multi_get(json.loads(text)["docs"], text) == [{"type": "x", "reason": "y"}, None]


def test_a_number_keeps_its_writing() -> None:
    text = '{"docs":[{"_id":"1","_version":1,"_seq_no":0,"_primary_term":1,"found":true,"_source":{"price": 1.10 }}]}'
    assert read_multi_get(json.loads(text)["docs"], text) == [StoredDocument('{"price": 1.10 }', 1, 0, 1)]
