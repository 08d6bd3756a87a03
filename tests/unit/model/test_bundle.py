"""Bundles on disk: tables read as they were written, errors that name damage and cure, and the id."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gram_os.errors import BundleError
from gram_os.model.bundle import (
    FORMAT,
    TYPE_VALUES,
    TYPES,
    Bundle,
    FileRecord,
    Manifest,
    ValueThreshold,
    read_file_names,
    seal,
    write_tables,
)
from gram_os.model.pair_weights import PairWeights, SideWeights
from gram_os.model.trie import CodeTrie
from gram_os.reading.type_values import TypeValues
from gram_os.text.attribute import AttributeType as T
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary
from tests.bundles import make_bundle

DICTIONARY = AttributeDictionary(
    ("50 %", "café", "laptop", "שלום"), (T.OTHER, T.STYLE, T.PRODUCT_TYPE, T.BRAND), (1, 2, 30, 4)
)
VOCABULARY = Vocabulary({"laptop": 30, "café": 2, "שלום": 4})
NORMALISER = Normaliser({"batteri": "battery"})
TRIE = CodeTrie.build([(0,), (0, 2), (2, 3), (1,)])
LAPTOPS = TypeVocabulary((ProductType("bag", 3), ProductType("laptop", 30, (), ("notebook",)), ProductType("pen", 2)))
STATED = TypeValues(np.array([0, 1, 3, 3], np.int32), np.array([1, 1, 2], np.int32))
MANIFEST = Manifest(
    label="t1", backbone="compact", precision="int8", attributes={"brand": T.BRAND}, measures={"R@300": 0.84}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sealed bundle with dummy graphs."""
    (tmp_path / "tokenizer.json").write_text(
        '{"version": "1.0", "model": {"type": "WordLevel", "vocab": {}, "unk_token": "u"}}'
    )
    (tmp_path / "encoder.onnx").write_bytes(b"encoder" * 100)
    write_tables(tmp_path, dictionary=DICTIONARY, vocabulary=VOCABULARY, normaliser=NORMALISER, trie=TRIE)
    seal(tmp_path, MANIFEST)
    return tmp_path


def _edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def _refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_tables_come_back_as_they_were_written(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert bundle.dictionary == DICTIONARY
    assert bundle.vocabulary.counts == VOCABULARY.counts
    assert bundle.normaliser.readable == NORMALISER.readable
    assert list(bundle.trie) == [(0,), (0, 2), (1,), (2, 3)]
    for field in ("offsets", "tokens", "final"):
        read, written = getattr(bundle.trie, field), getattr(TRIE, field)
        assert read.dtype == written.dtype
        assert np.array_equal(read, written)


def test_empty_tables_come_back_too(tmp_path: Path) -> None:
    write_tables(
        tmp_path,
        dictionary=AttributeDictionary((), (), ()),
        vocabulary=Vocabulary({}),
        normaliser=Normaliser(),
        trie=CodeTrie.build([]),
    )
    (tmp_path / "tokenizer.json").write_text("{}")
    bundle = seal(tmp_path, MANIFEST)
    assert bundle.dictionary.values == ()
    assert bundle.vocabulary.counts == {}
    assert len(bundle.trie) == 0


def test_types_and_their_values_come_back_too(folder: Path) -> None:
    write_tables(
        folder, dictionary=DICTIONARY, vocabulary=VOCABULARY, normaliser=NORMALISER, trie=TRIE, types=LAPTOPS,
        type_values=STATED,
    )  # fmt: skip
    bundle = seal(folder, MANIFEST)
    assert {TYPES, TYPE_VALUES} <= bundle.manifest.files.keys()
    assert bundle.product_types.types == LAPTOPS.types
    found = bundle.type_values
    assert found is not None
    for field in ("offsets", "values"):
        read, written = getattr(found, field), getattr(STATED, field)
        assert read.dtype == written.dtype
        assert np.array_equal(read, written)
    assert [found.agree([2], {place: 1.0}) for place in range(3)] == [0, 1, 0]


def test_a_bundle_without_types_has_no_values_of_types(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert len(bundle.product_types) == 0
    assert bundle.type_values is None


def _write_other_arrays(file: Path) -> None:
    np.savez(file, offsets=np.zeros(4, np.int32))


def _write_objects(file: Path) -> None:
    np.savez(file, offsets=np.array([{"a": 1}], dtype=object), values=[0])


def _write_no_archive(file: Path) -> None:
    file.write_bytes(b"no archive")


@pytest.mark.parametrize("write", [_write_other_arrays, _write_objects, _write_no_archive])
def test_a_broken_file_of_type_values_is_named(folder: Path, write: Callable[[Path], None]) -> None:
    write(folder / TYPE_VALUES)
    bundle = seal(folder, MANIFEST)
    with pytest.raises(BundleError) as caught:
        _ = bundle.type_values
    assert f"{folder / TYPE_VALUES} holds no values of types" in str(caught.value)
    assert "export the bundle again" in str(caught.value)


def test_the_manifest_comes_back_with_every_file_and_no_other(folder: Path) -> None:
    manifest = Bundle.load(folder).manifest
    assert manifest.model_copy(update={"files": {}}) == MANIFEST
    assert set(manifest.files) == {
        "codes.npz", "dictionary.tsv", "encoder.onnx", "stems.tsv", "tokenizer.json", "words.tsv",
    }  # fmt: skip
    assert manifest.files["encoder.onnx"].bytes == 700


def test_thresholds_come_back_and_a_bundle_without_them_has_none(folder: Path) -> None:
    assert Bundle.load(folder).manifest.thresholds == {}
    _edit(folder, lambda content: content.pop("thresholds"))  # as bundles were written before
    assert Bundle.load(folder).manifest.thresholds == {}
    thresholds = {kind: ValueThreshold(least=0.02, precision=0.95, values=20) for kind in (T.STYLE, T.COLOUR)}
    seal(folder, MANIFEST.model_copy(update={"thresholds": thresholds}))
    assert Bundle.load(folder).manifest.thresholds == thresholds


@pytest.mark.parametrize(
    ("kind", "threshold", "place"),
    [
        ("colour", {"least": 1.5, "precision": 0.95, "values": 20}, "thresholds.colour.least"),
        ("colour", {"least": -0.1, "precision": 0.95, "values": 20}, "thresholds.colour.least"),
        ("colour", {"precision": 0.95, "values": 20}, "thresholds.colour.least"),
        ("hue", {"least": 0.5, "precision": 0.95, "values": 20}, "thresholds.hue"),
    ],
)
def test_a_wrong_threshold_is_refused_by_its_name(
    folder: Path, kind: str, threshold: dict[str, float], place: str
) -> None:
    _edit(folder, lambda content: content.update(thresholds={kind: threshold}))
    assert f"{folder / 'manifest.json'}: {place}" in _refusal(folder)


def test_the_tokenizer_neither_pads_nor_cuts(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["truncation"] = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    file.write_text(json.dumps(content))
    tokenizer = seal(tmp_path, MANIFEST).tokenizer
    assert tokenizer.truncation is None
    assert tokenizer.padding is None


def test_the_id_is_twelve_hexadecimal_digits(folder: Path) -> None:
    found = Bundle.load(folder).id
    assert len(found) == 12
    assert int(found, 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"label": "t2"},
        {"source": "elsewhere"},
        {"measures": {}},
        {"lexical_weight": 2.0},
        {"query_values": 3},
        {"pair": PairWeights(query=SideWeights(unknown=0.5))},
        {"pair": PairWeights(idf_exponent=0.5, granularity=(1, 2, 3))},
    ],
)
def test_the_id_does_not_count_what_no_document_depends_on(folder: Path, change: dict[str, object]) -> None:
    assert seal(folder, MANIFEST.model_copy(update=change)).id == seal(folder, MANIFEST).id


@pytest.mark.parametrize(
    "change",
    [
        {"pair": PairWeights(title=SideWeights(unknown=0.5))},
        {"title_codes": 7},
        {"title_values": 2},
        {"texts": ("description",)},
        {"attributes": {"brand": T.BRAND, "tags": T.OTHER}},
        {"attributes": {"brand": T.MODEL}},
        {"backbone": "causal-lm"},
        {"model": {"prompts": "2"}},
        {"thresholds": {T.COLOUR: ValueThreshold(least=0.5, precision=0.96, values=50)}},
    ],
)
def test_the_id_counts_what_the_manifest_says_of_titles(folder: Path, change: dict[str, object]) -> None:
    assert seal(folder, MANIFEST.model_copy(update=change)).id != seal(folder, MANIFEST).id


def test_the_order_of_attribute_fields_counts_since_own_values_follow_it(folder: Path) -> None:
    fields = {"brand": T.BRAND, "tags": T.OTHER}
    turned = dict(reversed(fields.items()))
    first, second = (seal(folder, MANIFEST.model_copy(update={"attributes": of})).id for of in (fields, turned))
    assert first != second


@pytest.mark.parametrize("name", ["words.tsv", "tag-encoder.onnx", TYPE_VALUES])
def test_the_id_does_not_count_files_of_queries_and_of_the_tagger(folder: Path, name: str) -> None:
    before = Bundle.load(folder)
    with (folder / name).open("a", encoding="utf-8") as stream:
        stream.write("zebra\t1\n")
    after = seal(folder, MANIFEST)
    assert after.manifest.files.get(name) != before.manifest.files.get(name)
    assert after.id == before.id


@pytest.mark.parametrize(
    "name",
    [
        "encoder.onnx",
        "decoder.onnx",
        "tokenizer.json",
        "dictionary.tsv",
        "stems.tsv",
        "codes.npz",
        TYPES,
        "unknown.bin",
    ],
)
def test_the_id_counts_all_other_files(folder: Path, name: str) -> None:
    before = Bundle.load(folder).id
    with (folder / name).open("ab") as stream:
        stream.write(b" ")
    assert seal(folder, MANIFEST).id != before


def test_the_id_counts_the_trie(folder: Path) -> None:
    before = Bundle.load(folder).id
    trie = CodeTrie.build([(0,), (0, 2)])
    write_tables(folder, dictionary=DICTIONARY, vocabulary=VOCABULARY, normaliser=NORMALISER, trie=trie)
    assert seal(folder, MANIFEST).id != before


def test_the_id_counts_the_text_rules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoStemmer:
        def stemWord(self, word: str) -> str:  # noqa: N802  (PyStemmer's name)
            return word

    before = Bundle.load(folder)
    first = before.id
    monkeypatch.setattr("gram_os.text.normalise._PORTER2", NoStemmer())
    assert Bundle.load(folder).id != first
    assert before.id == first  # a loaded bundle keeps its id


def test_the_id_is_the_same_for_a_manifest_that_was_copied(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy") / "bundle"
    shutil.copytree(folder, copy)
    content = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(content))  # without indentation
    assert Bundle.load(copy).id == Bundle.load(folder).id


def test_sealing_twice_is_sealing_once(folder: Path) -> None:
    before = (folder / "manifest.json").read_bytes()
    seal(folder, MANIFEST)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        text = _refusal(place)
        assert str(place) in text
        assert "manifest.json" in text
        assert "--bundle" in text


def test_a_file_in_place_of_the_folder_is_no_bundle(tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(b"PK")
    assert str(file) in _refusal(file)


@pytest.mark.parametrize(
    "name", ["codes.npz", "dictionary.tsv", "encoder.onnx", "stems.tsv", "tokenizer.json", "words.tsv"]
)
class TestEachFile:
    def test_missing(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        assert f"{folder / name} is missing; copy or export the bundle again" == _refusal(folder)

    def test_cut_short(self, folder: Path, name: str) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1])
        text = _refusal(folder)
        assert f"{folder / name} has {len(content) - 1} bytes instead of {len(content)}" in text
        assert "copy or export the bundle again" in text

    def test_emptied(self, folder: Path, name: str) -> None:
        (folder / name).write_bytes(b"")
        assert f"{folder / name} has 0 bytes" in _refusal(folder)

    def test_one_bit_changed(self, folder: Path, name: str) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        text = _refusal(folder)
        assert f"{folder / name} is not what was exported" in text
        assert "copy or export the bundle again" in text

    def test_a_folder_in_its_place(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()
        assert f"{folder / name} is missing" in _refusal(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b'{"format": 1', b"[" * 100_000, b"not json"])
def test_a_manifest_that_is_no_json_is_damaged(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    text = _refusal(folder)
    assert f"{folder / 'manifest.json'} is damaged" in text
    assert "copy or export the bundle again" in text


@pytest.mark.parametrize("found", [0, FORMAT + 1, "1", None, 1.5])
def test_another_format_is_refused_with_both_numbers(folder: Path, found: object) -> None:
    _edit(folder, lambda content: content.update(format=found))
    text = _refusal(folder)
    assert f"format {found!r}, this version reads {FORMAT}" in text
    assert "export the bundle again" in text


@pytest.mark.parametrize("content", ["[]", "1", '"manifest"', "null", "{}"])
def test_json_that_is_no_manifest_has_no_format(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content)
    assert "has format None" in _refusal(folder)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"colour": "red"}, "colour"),
        ({"backbone": "t5"}, "backbone"),
        ({"precision": "int4"}, "precision"),
        ({"label": None}, "label"),
        ({"attributes": {"brand": "maker"}}, "attributes.brand"),
        ({"title_codes": "many"}, "title_codes"),
        ({"files": {"codes.npz": {"bytes": 3}}}, "files.codes.npz.sha256"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, change: dict[str, object], place: str) -> None:
    _edit(folder, lambda content: content.update(change))
    text = _refusal(folder)
    assert f"{folder / 'manifest.json'}: {place}: " in text
    assert "export the bundle again" in text


def test_a_missing_entry_is_named(folder: Path) -> None:
    _edit(folder, lambda content: content.pop("attributes"))
    assert "attributes: Field required" in _refusal(folder)


@pytest.mark.parametrize("name", ["codes.npz", "dictionary.tsv", "stems.tsv", "words.tsv"])
def test_a_table_that_the_manifest_does_not_list_is_named(folder: Path, name: str) -> None:
    _edit(folder, lambda content: content["files"].pop(name))  # type: ignore[attr-defined]
    assert f"does not list {name}; export the bundle again" in _refusal(folder)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("dictionary.tsv", "black\tcolour", "line 5: 2 columns instead of 3"),
        ("dictionary.tsv", "black\tshade\t3", "shade"),
        ("dictionary.tsv", "black\tcolour\tthree", "'three' is no count"),
        ("words.tsv", "black", "line 4: 1 columns instead of 2"),
        ("words.tsv", "black\tmany", "'many' is no count"),
        ("stems.tsv", "a\tb\tc", "line 2: 3 columns instead of 2"),
    ],
)
def test_a_wrong_row_of_a_sealed_table_is_named(folder: Path, name: str, row: str, message: str) -> None:
    with (folder / name).open("a", encoding="utf-8") as stream:
        stream.write(row + "\n")
    bundle = seal(folder, MANIFEST)
    with pytest.raises(BundleError) as caught:
        _ = (bundle.dictionary, bundle.vocabulary, bundle.normaliser)
    assert str(folder / name) in str(caught.value)
    assert message in str(caught.value)
    assert "export the bundle again" in str(caught.value)


def test_pickled_tables_are_never_read(folder: Path) -> None:
    np.savez(folder / "codes.npz", offsets=np.array([{"a": 1}], dtype=object), tokens=[0], final=[True])
    bundle = seal(folder, MANIFEST)
    with pytest.raises(BundleError) as caught:
        _ = bundle.trie
    assert str(folder / "codes.npz") in str(caught.value)


def test_a_record_knows_its_size(folder: Path) -> None:
    record = Bundle.load(folder).manifest.files["stems.tsv"]
    assert record == FileRecord(bytes=len(b"batteri\tbattery\n"), sha256=record.sha256)


def test_hidden_files_are_no_part_of_a_bundle(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).path
    before = Bundle.load(folder).id
    (folder / ".DS_Store").write_bytes(b"x")
    assert seal(folder, MANIFEST).manifest.files.keys() == Bundle.load(folder).manifest.files.keys()
    assert ".DS_Store" not in Bundle.load(folder).manifest.files
    assert len(before) == 12


def test_a_manifest_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).path
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"does not list tokenizer\.json; export the bundle again"):
        seal(folder, MANIFEST)


def test_the_files_of_a_bundle_are_known_whatever_its_format(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path).path
    content = json.loads((folder / "manifest.json").read_text())
    content["format"] = 1
    content["files"]["../outside"] = {}
    (folder / "manifest.json").write_text(json.dumps(content))
    assert "dictionary.tsv" in read_file_names(folder)
    assert "../outside" not in read_file_names(folder)
    (folder / "manifest.json").write_text("[")
    assert read_file_names(folder) == read_file_names(tmp_path / "absent") == []


def test_the_bundle_says_how_its_catalogue_writes_numbers(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(folder)
    assert bundle.normaliser.value("1,500 kg") == "1500 kg"
    other = Bundle(folder, bundle.manifest.model_copy(update={"decimal_comma": True}))
    assert other.normaliser.value("1,500 kg") == "1.5 kg"
    assert other.id != bundle.id
    # A bundle from before the setting reads numbers as it did.
    content = bundle.manifest.model_dump(mode="json", exclude={"decimal_comma"})
    assert not Manifest.model_validate(content).decimal_comma
