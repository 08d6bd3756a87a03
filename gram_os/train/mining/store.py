"""A mined catalogue as files of a stage's folder, and back: the same values to the last digit.

    mined.json.gz    attribute fields, text fields, readable stems, decimal comma, dictionary, vocabulary, columns
    mined.npz        own values as a sparse matrix, known, idf, initial codes, codes
    spans.jsonl.gz   the typed values of each title

Products are not in the files: they come from the catalogue that was mined.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from itertools import chain, islice
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import Int32Array
from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Tokens, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.tagger import Span
from gram_os.train.mining.catalogue import MinedCatalogue

_TABLES, _ARRAYS, _SPANS = "mined.json.gz", "mined.npz", "spans.jsonl.gz"


def save_mined(mined: MinedCatalogue, folder: Path) -> None:
    """Write a mined catalogue into a folder."""
    dictionary = mined.dictionary
    tables = {
        "attributes": {name: kind.value for name, kind in mined.attributes.items()},
        "texts": list(mined.texts),
        "readable": mined.normaliser.readable,
        "decimal_comma": mined.normaliser.decimal_comma,
        "values": list(dictionary.values),
        "types": [kind.value for kind in dictionary.types],
        "counts": list(dictionary.counts),
        "vocabulary": dict(mined.vocabulary.counts),
        "columns": list(mined.columns),
    }
    with gzip.open(folder / _TABLES, "wt", encoding="utf-8", compresslevel=3) as stream:
        json.dump(tables, stream)
    initial = [code for codes in mined.initial for code in codes]
    np.savez(
        folder / _ARRAYS,
        own_indices=mined.own.indices, own_indptr=mined.own.indptr, known=mined.known, idf=mined.idf,
        initial_counts=_lengths(mined.initial), initial_lengths=_lengths(initial), initial_tokens=_flat(initial),
        code_lengths=_lengths(mined.codes), code_tokens=_flat(mined.codes),
    )  # fmt: skip
    write_spans(mined.spans, folder / _SPANS)


def load_mined(folder: Path, products: Sequence[Product]) -> MinedCatalogue:
    """Read what `save_mined` wrote; `products` are those that were mined, in their order."""
    with gzip.open(folder / _TABLES, "rt", encoding="utf-8") as stream:
        tables = json.load(stream)
    with np.load(folder / _ARRAYS) as file:
        arrays = dict(file)
    columns = {value: place for place, value in enumerate(tables["columns"])}
    ones = np.ones(len(arrays["own_indices"]), np.float32)
    own = sparse.csr_matrix((ones, arrays["own_indices"], arrays["own_indptr"]), shape=(len(products), len(columns)))
    initial = _split(arrays["initial_tokens"], arrays["initial_lengths"])
    return MinedCatalogue(
        products=products,
        spans=read_spans(folder / _SPANS),
        attributes={name: AttributeType(kind) for name, kind in tables["attributes"].items()},
        texts=tables["texts"],
        normaliser=Normaliser(tables["readable"], decimal_comma=tables["decimal_comma"]),
        dictionary=AttributeDictionary(
            tuple(tables["values"]), tuple(map(AttributeType, tables["types"])), tuple(tables["counts"])
        ),
        vocabulary=Vocabulary(tables["vocabulary"]),
        own=own,
        columns=columns,
        known=arrays["known"],
        idf=arrays["idf"],
        initial=[list(islice(initial, count)) for count in arrays["initial_counts"].tolist()],
        codes=list(_split(arrays["code_tokens"], arrays["code_lengths"])),
    )


def write_spans(rows: Sequence[Sequence[Span]], path: Path) -> None:
    """Write the spans of texts as JSON lines, gzip, a text a line."""
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as stream:
        for spans in rows:
            stream.write(json.dumps([astuple(span) for span in spans]) + "\n")


def read_spans(path: Path) -> list[list[Span]]:
    """Read what `write_spans` wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [
            [Span(start, end, text, AttributeType(kind), *rest) for start, end, text, kind, *rest in json.loads(line)]
            for line in stream
        ]


def _lengths(rows: Sequence[Sequence[object]]) -> Int32Array:
    return np.fromiter(map(len, rows), np.int32, len(rows))


def _flat(codes: Iterable[Tokens]) -> Int32Array:
    return np.fromiter(chain.from_iterable(codes), np.int32)


def _split(tokens: Int32Array, lengths: Int32Array) -> Iterable[Tokens]:
    flat = iter(tokens.tolist())
    return (tuple(islice(flat, length)) for length in lengths.tolist())
