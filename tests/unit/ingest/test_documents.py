"""A hit becomes a product or a refusal, and codes become fields of a document. `test_backfill` writes to a node."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from gram_os.catalogue import Product
from gram_os.cluster.labels import LabelState
from gram_os.cluster.stored import DocumentKey
from gram_os.ingest.documents import (
    CodedDocument,
    Document,
    build_code_fields,
    code_documents,
    read_document,
    source_fields,
    source_hash,
)
from gram_os.ingest.writing import Refusal
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText, ScoredCode
from gram_os.text.attribute import AttributeType, TypedValue
from gram_os.text.code import Code
from tests.bundles import make_bundle, make_generator

STATE = LabelState("t1", "a" * 12, "title")
KEY = DocumentKey("shop", "7")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def _hit(**source: Any) -> dict[str, Any]:
    return {"_index": "shop", "_id": "7", "_source": source, "_seq_no": 3, "_primary_term": 2}


def test_a_hit_is_a_document_in_the_version_that_was_read(bundle: Bundle) -> None:
    fields = {"title": "HP laptop", "brand": "HP"}
    source = source_hash(Product("7", "HP laptop", fields), bundle)
    assert read_document(_hit(**fields), STATE, bundle) == Document(
        KEY, Product("7", "HP laptop", fields), source, is_current=False, seq_no=3, primary_term=2
    )


@pytest.mark.parametrize(
    ("stored", "is_current"),
    [({"source": "same"}, True), ({"source": "0" * 16}, False), ({}, False), (None, False), (["same"], False)],
)
def test_codes_are_current_when_their_source_is(bundle: Bundle, stored: Any, is_current: bool) -> None:
    if isinstance(stored, dict) and stored.get("source") == "same":
        stored = {"source": source_hash(Product("7", "HP laptop", {}), bundle)}
    document = read_document(_hit(title="HP laptop", gram_t1=stored, gram_t2={"source": "x"}), STATE, bundle)
    assert isinstance(document, Document) and document.is_current is is_current


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({}, "has no title in field 'title'"),
        ({"title": None}, "has no title in field 'title'"),
        ({"title": []}, "has no title in field 'title'"),
        ({"title": ["HP", 17]}, "has a title that is no text: \"['HP', 17]\" in field 'title'"),
        ({"title": 17}, "has a title that is no text: '17' in field 'title'"),
        ({"title": " "}, "has a title that is no text: ' ' in field 'title'"),
    ],
)
def test_a_hit_without_a_usable_title_is_refused(bundle: Bundle, source: dict[str, Any], reason: str) -> None:
    assert read_document(_hit(**source), STATE, bundle) == Refusal(KEY, reason)


def test_a_list_of_titles_is_one(bundle: Bundle) -> None:
    document = read_document(_hit(title=["HP laptop", "red"]), STATE, bundle)
    assert isinstance(document, Document) and document.product.title == "HP laptop, red"


def test_routing_is_part_of_the_key(bundle: Bundle) -> None:
    document = read_document({**_hit(title="HP laptop"), "_routing": "de"}, STATE, bundle)
    assert isinstance(document, Document) and document.key == DocumentKey("shop", "7", "de")


def test_the_fields_that_are_read_are_those_that_count(bundle: Bundle) -> None:
    state = LabelState("t1", "a" * 12, "name.en")
    assert source_fields(state, bundle) == [
        "name.en",
        "brand",
        "tags",
        "description",
        "gram_t1.source",
        "gram_t1.edits",
    ]
    document = read_document(_hit(name={"en": "HP laptop"}), state, bundle)
    assert isinstance(document, Document) and document.product.title == "HP laptop"


def test_the_hash_holds_what_is_coded_and_the_bundle(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> None:
    def hash_of(title: str = "HP laptop", of: Bundle = bundle, **fields: Any) -> str:
        return source_hash(Product("7", title, fields), of)

    assert re.fullmatch("[0-9a-f]{16}", hash_of())
    assert hash_of(price=10) == hash_of(price=11) == hash_of()
    assert hash_of(brand="HP", tags=["a"]) == hash_of(tags=["a"], brand="HP")
    others = make_bundle(tmp_path_factory.mktemp("other"), title_values=3)
    assert others.id != bundle.id
    hashes = [hash_of(), hash_of("HP Laptop"), hash_of(brand="HP"), hash_of(tags=["HP"]), hash_of(of=others)]
    assert len({*hashes}) == len(hashes)
    assert hash_of("half a \ud83d character") != hash_of("half a  character")


def test_code_fields() -> None:
    started = datetime.now(UTC).replace(microsecond=0)
    toner, part, both = Code.parse("toner"), Code.parse("3.5 mm | jack"), Code.parse("toner | xerox")
    coded = CodedText(
        codes=(ScoredCode(toner, (0.5,), True), ScoredCode(both, None, True)),
        attributes=(
            TypedValue("toner cartridge", AttributeType.PRODUCT_TYPE, 0.25, own=True),
            TypedValue("xerox", AttributeType.BRAND, None, own=True),
            TypedValue("toner", AttributeType.PRODUCT_TYPE, 0.5, own=True),
        ),
        weights=(ScoredCode(toner, (0.5,), True, 1.25), ScoredCode(part, None, False, 0.5)),
    )
    fields = build_code_fields(coded, "abc")
    assert started <= datetime.fromisoformat(fields.pop("coded_at")) <= started + timedelta(minutes=5)
    assert fields == {
        "codes": ["toner", "toner | xerox"],
        "attributes": {"product_type": ["toner cartridge", "toner"], "brand": ["xerox"]},
        "weights": [{"toner": 1.25, "3·5 mm | jack": 0.5}],
        "probabilities": base64.b64encode(bytes([255, 255, 11])).decode(),
        "source": "abc",
    }


def test_codes_meet_their_documents_while_the_coder_reads_ahead(tmp_path_factory: pytest.TempPathFactory) -> None:
    generator = make_generator(tmp_path_factory.mktemp("generator"))
    titles = [("HP laptop", "Xerox toner", "red mouse")[n % 3] + f" {n}" for n in range(600)]
    read: list[str] = []

    def documents() -> Iterator[Document]:
        for number, title in enumerate(titles):
            read.append(title)
            yield Document(KEY, Product(str(number), title, {}), "", is_current=False, seq_no=0, primary_term=1)

    coded = code_documents(generator, documents())
    first = list(islice(coded, 5))
    assert 5 < len(read) < len(titles)  # a part was read ahead, and not all of an endless stream
    found = [item for item in (*first, *coded) if isinstance(item, CodedDocument)]
    assert [item.document.product.id for item in found] == [str(n) for n in range(600)]
    for item in found[::97]:
        assert item.coded == generator.code_batch([item.document.product])[0]
