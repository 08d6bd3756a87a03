"""The vocabulary of product types, and the table that people may edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from gram_os.errors import FileFormatError
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import NO_TYPES, ProductType, TypeVocabulary, read_types, write_types

HEADER = "name\tproducts\tbroader\tsynonyms\n"
CASE = ProductType("case", 2, (), ("bag",))
NOTEBOOK = ProductType("notebook", 30, (), ("laptop", "portable computer"))
SLEEVE = ProductType("notebook sleeve", 9, ("sleeve", "case"), ("bag",))
VOCABULARY = TypeVocabulary((CASE, NOTEBOOK, SLEEVE, ProductType("sleeve", 4, ("case",), ("case",))))


def test_a_name_means_its_own_type_first_and_a_synonym_the_commonest() -> None:
    assert VOCABULARY.find("notebook sleeve") == (2,)
    assert VOCABULARY.find("portable computer") == (1,)
    assert VOCABULARY.find("bag") == (2, 0)  # 9 products, 2 products
    assert VOCABULARY.find("case") == (0, 3)
    assert VOCABULARY.find("computer") == ()
    assert VOCABULARY.longest == 3  # "notebook sleeve", and a word more
    assert (len(NO_TYPES), NO_TYPES.longest, NO_TYPES.find("case")) == (0, 0, ())


JOINED = TypeVocabulary(
    (
        ProductType("keyboard", 9),
        ProductType("hard drive", 8, (), ("hard disc",)),
        ProductType("headphones", 7),
        ProductType("mouse", 6),
        ProductType("tripod", 5),
    )
)


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("key board", 0),
        ("keyboards", 0),
        ("harddrive", 1),
        ("harddisc", 1),
        ("head phone", 2),
        ("headphone", 2),
        ("tri pod", 4),
    ],
)
def test_words_that_are_written_apart_or_together_are_one_name(written: str, place: int) -> None:
    assert JOINED.find(written) == (place,)


@pytest.mark.parametrize("written", ["mo use", "m ouse", "key", "board", "hard", "key boards x", "drive hard", ""])
def test_short_words_and_other_words_are_not_joined(written: str) -> None:
    assert JOINED.find(written) == ()


def test_a_name_as_it_is_written_wins_over_a_joined_one() -> None:
    both = TypeVocabulary(
        (ProductType("hard drive", 9), ProductType("harddrive", 4), ProductType("disc", 2, (), ("hard drives",)))
    )
    assert both.find("hard drive") == (0,)
    assert both.find("harddrive") == (1,)
    assert both.find("hard drives") == (2,)


def test_broader_types_come_nearest_first_and_once() -> None:
    assert VOCABULARY.with_broader(2) == (2, 3, 0)
    assert VOCABULARY.with_broader(1) == (1,)
    circle = TypeVocabulary((ProductType("a", 1, ("b",)), ProductType("b", 1, ("a",))))
    assert circle.with_broader(0) == (0, 1)


def test_the_table_is_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "product_types.tsv"
    write_types(VOCABULARY, file)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "name\tproducts\tbroader\tsynonyms"
    assert lines[3] == "notebook sleeve\t9\tsleeve | case\tbag"
    assert read_types(file) == VOCABULARY
    write_types(NO_TYPES, file)
    assert read_types(file) == NO_TYPES


def test_types_keep_the_order_of_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "product_types.tsv"
    file.write_text(f"{HEADER}notebook\t3\t\t laptop|  portable |\ncase\t2\t\t\n", encoding="utf-8")
    notebook, case = read_types(file).types  # each one's place is its column in the model's answer
    assert (notebook.name, case.name) == ("notebook", "case")
    assert notebook.synonyms == ("laptop", "portable")


def test_any_spelling_of_a_name_is_understood() -> None:
    normaliser = Normaliser({"batteri": "battery"})
    edited = TypeVocabulary((ProductType("Batteries", 3, (), ("Power Packs", "!", "cells")), ProductType("lamp", 2)))
    vocabulary = edited.normalised(normaliser.value)
    assert vocabulary.types[0].synonyms == ("power pack", "cell", "battery")
    assert vocabulary.find("battery") == vocabulary.find("power pack") == (0,)
    assert vocabulary.types[1] == ProductType("lamp", 2)
    assert vocabulary.normalised(normaliser.value) == vocabulary


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "the first line must be name products broader synonyms, parted by tabs"),
        ("name\tproducts\n", 1, "the first line must be"),
        (f"{HEADER}case\t3\t\n", 2, "3 columns instead of 4; part them by tabs"),
        (f"{HEADER}case 3\n", 2, "1 columns instead of 4"),
        (f"{HEADER}case\t3\t\t\n \t1\t\t\n", 3, "the name is empty; write one, or delete the line"),
        (f"{HEADER}case\tmany\t\t\n", 2, "'many' is no number of products"),
        (f"{HEADER}case\t-1\t\t\n", 2, "'-1' is no number of products"),
        (
            f"{HEADER}case\t1\t\t\nbag\t1\t\t\ncase\t1\t\t\n",
            4,
            "'case' stands in line 2 already; delete one of the two",
        ),
        (f"{HEADER}bag\t1\t\t\nsleeve\t1\tcase\t\n", 3, "the broader type 'case' has no line of its own; add it, or"),
    ],
)
def test_a_broken_table_is_refused_with_line_and_cure(tmp_path: Path, content: str, line: int, message: str) -> None:
    file = tmp_path / "product_types.tsv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(FileFormatError) as caught:
        read_types(file)
    assert message in str(caught.value)
    assert f"line {line}" in str(caught.value)
    assert str(file) in str(caught.value)
