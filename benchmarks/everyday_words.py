"""Everyday words that no title of the sample holds: whether the right product type is among the first three.

python benchmarks/everyday_words.py [--bundle FOLDER] [--words FILE] [--json]

The answer is a bundle's for the query. Beside it stands MiniLM as published: the three types whose names are nearest to
the word. The words are a TSV with the header `word types`, types separated by `|`. They are a measure, and
nothing may be trained on them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measures import Measure, print_measures
from gram_os.errors import FileFormatError, GramError
from gram_os.model.backbone import load_generator
from gram_os.model.generator import Generator
from gram_os.rows import read_lines
from gram_os.text.attribute import AttributeType
from gram_os.train.models.encoder import QUERY_TOKENS, embed, load_encoder, load_tokenizer

EVERYDAY_WORDS = Path(__file__).with_name("everyday_words.tsv")
COLUMNS = ("word", "types")
FIRST, GOAL = 3, 0.75


@dataclass(frozen=True, slots=True)
class EverydayWord:
    """A word or short phrase, and the names that a catalogue gives the product types that it means."""

    word: str
    types: tuple[str, ...]


def read_everyday_words(path: Path = EVERYDAY_WORDS) -> list[EverydayWord]:
    """Read the words. Raises FileFormatError for a line without a word or a type."""
    words = []
    for line, text in read_lines(path):
        cells = text.rstrip("\r\n").split("\t")
        if line == 1 and tuple(cells) == COLUMNS:
            continue
        types = tuple(name.strip() for name in cells[1].split("|")) if len(cells) == len(COLUMNS) else ()
        if not (cells[0] and types and all(types)):
            raise FileFormatError(path, "a line is word<TAB>type|type|...", line=line)
        words.append(EverydayWord(cells[0], types))
    if not words:
        raise FileFormatError(path, "holds no word")
    return words


def measure_words(generator: Generator, words: Sequence[EverydayWord]) -> list[Measure]:
    """Return the shares of words with a right type among the first three: of the bundle, and of MiniLM by names."""
    normalise = generator.bundle.normaliser.value
    right = [{normalise(name) for name in word.types} for word in words]
    coded = generator.code_queries([word.word for word in words])
    answers = [[found.value for found in one.of_type(AttributeType.PRODUCT_TYPE)][:FIRST] for one in coded]
    names = [kind.name for kind in generator.bundle.product_types.types]
    encoder, tokenizer = load_encoder(), load_tokenizer()
    near = embed(encoder, tokenizer, [word.word for word in words], most=QUERY_TOKENS)
    cosines = near @ embed(encoder, tokenizer, names, most=QUERY_TOKENS).T
    nearest = [[names[place] for place in row] for row in np.argsort(-cosines, axis=1)[:, :FIRST].tolist()]

    def share(found: Sequence[Sequence[str]]) -> float:
        return sum(not types.isdisjoint(row) for types, row in zip(right, found, strict=True)) / len(words)

    return [
        Measure("everyday_words.right_in_3", share(answers), "ratio", GOAL, at_least=True),
        Measure("everyday_words.minilm_right_in_3", share(nearest), "ratio"),
        Measure("everyday_words.words", len(words), "words"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code, which is 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="model folder; by default the shipped one")
    parser.add_argument(
        "--words", type=Path, default=EVERYDAY_WORDS, help="words and their types (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the measures as JSON")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        words = read_everyday_words(options.words)
        measures = measure_words(load_generator(options.bundle), words)
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    print_measures(f"{len(words)} everyday words", measures, as_json=options.json)
    return int(any(measure.holds is False for measure in measures))


if __name__ == "__main__":
    sys.exit(main())
