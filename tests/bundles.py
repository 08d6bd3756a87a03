"""A small bundle on disk: eleven values, thirty codes, files that are no graphs. Models come from `tests.fakes`."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from gram_os.model.bundle import Bundle, Manifest, seal, write_tables
from gram_os.model.generator import Generator
from gram_os.model.pair_weights import Emphasis, PairWeights, SideWeights
from gram_os.model.trie import CodeTrie
from gram_os.reading.type_values import TypeValues
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import NO_TYPES, TypeVocabulary
from tests.fakes import TableModel

T = AttributeType
VALUES = {
    "apple": T.BRAND,
    "black": T.COLOUR,
    "cartridge": T.PRODUCT_TYPE,
    "hp": T.BRAND,
    "laptop": T.PRODUCT_TYPE,
    "mouse": T.PRODUCT_TYPE,
    "red": T.COLOUR,
    "toner": T.PRODUCT_TYPE,
    "toner cartridge": T.PRODUCT_TYPE,
    "wireless": T.FUNCTION,
    "xerox": T.BRAND,
}


# No parameter has its default value, so that a test which compares sums notices a forgotten one.
PAIR = PairWeights(
    query=SideWeights(own=Emphasis(exponent=0.1), generated=Emphasis(scale=0.4, exponent=0.5), unknown=1.1),
    title=SideWeights(own=Emphasis(exponent=0.2), generated=Emphasis(scale=0.6, exponent=0.3), unknown=0.9),
    idf_exponent=1.2,
    granularity=(1.0, 1.3, 1.6),
)


def make_bundle(
    folder: Path,
    *,
    pair: PairWeights = PAIR,
    lexical_weight: float = 1.0,
    query_values: int = 0,
    title_values: int = 0,
    types: TypeVocabulary = NO_TYPES,
    type_values: TypeValues | None = None,
) -> Bundle:
    """Write a bundle of `VALUES`. Its codes: every value, every pair that begins with a brand, and two longer ones."""
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(VALUES)
    pairs = [pair for pair in combinations(range(len(names)), 2) if VALUES[names[pair[0]]] is T.BRAND]
    codes = [*((token,) for token in range(len(names))), *pairs, (1, 7, 10), (1, 2, 7, 10)]
    Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    for graph in ("encoder.onnx", "decoder.onnx"):
        (folder / graph).write_bytes(b"no graph")
    write_tables(
        folder,
        dictionary=AttributeDictionary(names, tuple(VALUES.values()), (1,) * len(names)),
        vocabulary=Vocabulary({word: 5 for name in names for word in name.split()}),
        normaliser=Normaliser({"cartridg": "cartridge", "appl": "apple", "mous": "mouse"}),
        trie=CodeTrie.build(codes),
        types=types,
        type_values=type_values,
    )
    manifest = Manifest(
        label="t1",
        backbone="compact",
        precision="fp32",
        attributes={"brand": T.BRAND, "tags": T.OTHER},
        texts=("description",),
        title_codes=5,
        title_values=title_values,
        query_values=query_values,
        pair=pair,
        lexical_weight=lexical_weight,
    )
    return seal(folder, manifest)


def make_generator(
    folder: Path,
    *,
    pair: PairWeights = PAIR,
    lexical_weight: float = 1.0,
    query_values: int = 0,
    title_values: int = 0,
    seed: int = 0,
    workers: int = 1,
) -> Generator:
    """Make a generator of that bundle. Its model is a table."""
    bundle = make_bundle(
        folder, pair=pair, lexical_weight=lexical_weight, query_values=query_values,
        title_values=title_values,
    )  # fmt: skip
    return Generator(bundle, TableModel(len(VALUES), seed), workers=workers)
