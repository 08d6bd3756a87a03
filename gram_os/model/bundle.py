"""A bundle: the folder that holds one trained model and everything else that serving needs.

    manifest.json      format, label, backbone, precision, attribute fields, measures, size and SHA-256 of every file
    tokenizer.json     of the encoder or the causal LM
    *.onnx             the graphs
    codes.npz          the code trie (trie.py), memory-mapped (array_file.py)
    dictionary.tsv     value, type, products: the attribute dictionary
    words.tsv          word, products: the catalogue's vocabulary
    stems.tsv          stem, readable word: for the normaliser
    product_types.tsv  product types with their broader types and synonyms (text/product_types.py)
    type-values.npz    values that products of each type state (reading/type_values.py): offsets, values
    type-heads.npz     of the compact backbone: P(product type | text) (type_heads.py)

Loading checks format, sizes and hashes, and an error names what is wrong. Nothing in a bundle is executed or unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError
from tokenizers import Tokenizer

from gram_os.data import default_bundle
from gram_os.errors import BundleError, FileFormatError
from gram_os.files.array_file import map_arrays, write_arrays
from gram_os.model.pair_weights import PairWeights
from gram_os.model.trie import CodeTrie
from gram_os.reading.type_values import TypeValues
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import NO_TYPES, TypeVocabulary, read_types, write_types
from gram_os.text.rules import text_rules_version

FORMAT = 4
MANIFEST = "manifest.json"
TYPES, TYPE_VALUES = "product_types.tsv", "type-values.npz"
_TABLES = ("codes.npz", "dictionary.tsv", "stems.tsv", "words.tsv")

# What no document depends on. Everything else counts for `Bundle.id`, new files and new fields of the manifest too.
_NOT_IN_DOCUMENTS: Mapping[str, Any] = {
    "format": True,
    "label": True,
    "measures": True,
    "source": True,
    "lexical_weight": True,
    "query_values": True,
    "pair": {"query", "idf_exponent", "granularity"},  # the title's weights are written with the codes
    # The tagger's layers, the words that mend queries, and what a query's codes are checked against.
    "files": {"tag-encoder.onnx", "words.tsv", TYPE_VALUES},
}


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of one file of the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str


class ValueThreshold(BaseModel):
    """From which probability a generated value of a type is an attribute of a product.

    precision: the share of right values among the `values` of held-out products that reach `least`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: float = Field(ge=0, le=1)
    precision: float
    values: int


class Manifest(BaseModel):
    """What a bundle says about itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    label: str
    backbone: Literal["compact", "causal-lm"]
    precision: Literal["fp32", "fp16", "int8"]
    attributes: Mapping[str, AttributeType]  # catalogue field -> type of its values
    texts: tuple[str, ...] = ()  # further text fields of the catalogue; their words are own values of a product too
    decimal_comma: bool = False  # whether the catalogue writes ambiguous numbers ("1,500 kg") with a decimal comma
    title_codes: int = 10  # codes that the beam search gives a title
    title_values: int = 0  # likeliest single values that a title gets as well; they cost no step of the decoder
    query_values: int = 0  # likeliest single values that a query gets as well
    thresholds: Mapping[AttributeType, ValueThreshold] = {}  # of the relevance filter; other types let nothing pass
    pair: PairWeights = PairWeights()  # what codes weigh on either side of the pair score
    lexical_weight: NonNegativeFloat = 0.06  # what a point of BM25 counts in the hybrid; a point of the pair score is 1
    model: Mapping[str, int | float | str] = {}  # what the backbone needs to know about its graphs
    measures: Mapping[str, float] = {}  # figures of its training: recall of held-out clicks, F1 of the tagger
    source: str = ""  # the data that it was trained on, and their terms
    files: Mapping[str, FileRecord] = {}

    @property
    def coded_fields(self) -> tuple[str, ...]:
        """The fields of a product that its codes depend on, beside the title."""
        return (*self.attributes, *self.texts)


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. The backbone opens its graphs (onnx_lm.py, causal_lm.py)."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: Path | None = None) -> Bundle:
        """Read and verify a bundle, the shipped one by default.

        Raises BundleError when the folder, the manifest or a file is missing, of another format, cut short or
        changed.
        """
        path = path or default_bundle()
        manifest = _read_manifest(path)
        if missing := [name for name in ("tokenizer.json", *_TABLES) if name not in manifest.files]:
            raise BundleError(f"{path / MANIFEST} does not list {missing[0]}; export the bundle again")
        for name, record in manifest.files.items():
            _verify(path / name, record)
        return cls(path, manifest)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that name what the bundle writes into documents: codes and their weights.

        They are a hash of the manifest and its files' hashes, without `_NOT_IN_DOCUMENTS`, and of the version of the
        text rules (text/rules.py). A change of the query's weights leaves the id as it is, and no document has to be
        coded anew.
        """
        content = self.manifest.model_dump(mode="json", exclude=dict(_NOT_IN_DOCUMENTS))
        return hashlib.sha256(json.dumps([text_rules_version(), content]).encode()).hexdigest()[:12]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, without padding or truncation of its own."""
        tokenizer = Tokenizer.from_file(str(self.path / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def trie(self) -> CodeTrie:
        """All codes that the model may generate."""
        file = self.path / "codes.npz"
        try:
            arrays = map_arrays(file)
            return CodeTrie(arrays["offsets"], arrays["tokens"], arrays["final"])
        except (ValueError, KeyError, OSError, BadZipFile) as error:
            raise BundleError(f"{file} holds no code trie ({error}); export the bundle again") from error

    @cached_property
    def dictionary(self) -> AttributeDictionary:
        """The known attribute values."""
        file = self.path / "dictionary.tsv"
        rows = _read_rows(file, 3)
        try:
            types = tuple(AttributeType(kind) for _, kind, _ in rows)
        except ValueError as error:
            raise BundleError(f"{file}: {error}; export the bundle again") from error
        counts = tuple(_read_count(file, count) for _, _, count in rows)
        return AttributeDictionary(tuple(value for value, _, _ in rows), types, counts)

    @cached_property
    def product_types(self) -> TypeVocabulary:
        """The catalogue's product types; none in a bundle without them."""
        file = self.path / TYPES
        if TYPES not in self.manifest.files:
            return NO_TYPES
        try:
            return read_types(file).normalised(self.normaliser.value)
        except FileFormatError as error:
            raise BundleError(f"{error}; export the bundle again") from error

    @cached_property
    def type_values(self) -> TypeValues | None:
        """The values that products of each type state; None in a bundle without types."""
        file = self.path / TYPE_VALUES
        if TYPE_VALUES not in self.manifest.files:
            return None
        try:
            arrays = map_arrays(file)
            return TypeValues.checked(arrays["offsets"], arrays["values"], types=len(self.product_types))
        except (ValueError, KeyError, OSError, BadZipFile) as error:
            raise BundleError(f"{file} holds no values of types ({error}); export the bundle again") from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The catalogue's words."""
        file = self.path / "words.tsv"
        return Vocabulary({word: _read_count(file, count) for word, count in _read_rows(file, 2)})

    @cached_property
    def normaliser(self) -> Normaliser:
        """The normaliser: it writes stems as the catalogue's commonest words and reads numbers as that does."""
        readable = dict(_read_rows(self.path / "stems.tsv", 2))
        return Normaliser(readable, decimal_comma=self.manifest.decimal_comma)


def write_tables(
    path: Path,
    *,
    dictionary: AttributeDictionary,
    vocabulary: Vocabulary,
    normaliser: Normaliser,
    trie: CodeTrie,
    types: TypeVocabulary = NO_TYPES,
    type_values: TypeValues | None = None,
) -> None:
    """Write the bundle's tables. `gram_os.train.export` writes the graphs and the tokenizer."""
    if len(types):
        write_types(types, path / TYPES)
    if type_values is not None:
        write_arrays(path / TYPE_VALUES, {"offsets": type_values.offsets, "values": type_values.values})
    rows = zip(dictionary.values, dictionary.types, dictionary.counts, strict=True)
    _write_rows(path / "dictionary.tsv", ((v, k.value, str(n)) for v, k, n in rows))
    _write_rows(path / "words.tsv", ((word, str(n)) for word, n in sorted(vocabulary.counts.items())))
    _write_rows(path / "stems.tsv", sorted(normaliser.readable.items()))
    write_arrays(path / "codes.npz", {"offsets": trie.offsets, "tokens": trie.tokens, "final": trie.final})


def seal(path: Path, manifest: Manifest) -> Bundle:
    """Write the manifest over all files in the folder, hidden ones left out. This is the last step of an export."""
    files = {
        file.name: FileRecord(bytes=file.stat().st_size, sha256=_sha256(file))
        for file in sorted(path.iterdir())
        if file.is_file() and file.name != MANIFEST and not file.name.startswith(".")
    }
    sealed = manifest.model_copy(update={"files": files})
    (path / MANIFEST).write_text(sealed.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Bundle.load(path)


def read_file_names(path: Path) -> list[str]:
    """The files that the manifest of a folder lists, whatever its format. None where there is no readable manifest."""
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    files = content.get("files") if isinstance(content, dict) else None
    return [name for name in files if name == Path(name).name] if isinstance(files, dict) else []


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not file.is_file():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}; give --bundle the folder that an export made")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} is damaged ({error}); copy or export the bundle again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BundleError(f"{file} has format {found!r}, this version reads {FORMAT}; export the bundle again")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleError(f"{file}: {place}: {first['msg']}; export the bundle again") from error


def _verify(file: Path, record: FileRecord) -> None:
    if not file.is_file():
        raise BundleError(f"{file} is missing; copy or export the bundle again")
    size = file.stat().st_size
    if size != record.bytes:
        raise BundleError(f"{file} has {size} bytes instead of {record.bytes}; copy or export the bundle again")
    if _sha256(file) != record.sha256:
        raise BundleError(f"{file} is not what was exported (SHA-256 differs); copy or export the bundle again")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_rows(file: Path, columns: int) -> list[list[str]]:
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise BundleError(
                f"{file}, line {number}: {len(row)} columns instead of {columns}; export the bundle again"
            )
    return rows


def _read_count(file: Path, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BundleError(f"{file}: {text!r} is no count; export the bundle again") from error


def _write_rows(file: Path, rows: Iterable[Sequence[str]]) -> None:
    file.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
