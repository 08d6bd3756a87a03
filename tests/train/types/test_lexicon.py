"""Which words of titles name product types, and where in a title they stand. Catalogues and nouns are of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import pytest

from gram_os.train.types.lexicon import _TOLD, Candidate, TypeLexicon, TypeSources
from gram_os.train.types.name_fit import Embed
from gram_os.train.types.taxonomy import Category, Taxonomy
from gram_os.train.types.titles import list_words, mask_title
from tests.train.typed_catalogue import Row, make_encoder, make_thesaurus, mine_rows

NOUNS = make_thesaurus(
    {
        "pc": "computer", "portable computer": "pc", "notebook": "portable computer", "computer": "", "case": "",
        "bag": "", "battery": "", "paper": "", "sheet": "", "bed": "", "leather": "", "laptop": "portable computer",
        "messenger": "", "cell": "", "white": "", "copy": "",
    }
)  # fmt: skip
ROWS: list[Row] = [
    ("Case Logic messenger bag black", "Case Logic", "messenger bag"),
    ("Case Logic leather bag", "Case Logic", "leather bag"),
    ("Okapi notebook case 14 in", "Okapi", "notebook case"),
    ("Okapi leather notebook case", "Okapi", "notebook case"),
    ("Zebu battery for select laptops", "Zebu", "battery"),
    ("Zebu 6-cell battery, for notebook", "Zebu", "battery"),
    ("Zebu EliteBook notebook PC 15 in", "Zebu", "notebook PC"),
    ("Zebu ProBook notebook PC", "Zebu", "PC"),
    ("Zebu notebook 17 in", "Zebu", "notebook"),
    ("Okapi laptop", "Okapi", "laptop"),
    ("Zebu notebook black", "Zebu", "notebook"),
    ("Okapi laptop, black", "Okapi", "laptop"),
    ("Okapi copy paper 50 sheets", "Okapi", "paper"),
    ("Okapi paper, 100 sheets white", "Okapi", "paper"),
    ("Okapi bed sheet white", "Okapi", "bed sheet"),
    ("Okapi white sheet", "Okapi", "sheet"),
]


@pytest.fixture(scope="module")
def lexicon() -> TypeLexicon:
    return TypeLexicon(mine_rows(ROWS), TypeSources(thesaurus=NOUNS))


def _names(lexicon: TypeLexicon, title: str) -> list[tuple[str, float]]:
    place = [row[0] for row in ROWS].index(title)
    return [(candidate.name, round(candidate.penalty, 2)) for candidate in lexicon.find_candidates(place)]


def test_the_last_name_of_a_phrase_wins(lexicon: TypeLexicon) -> None:
    assert _names(lexicon, "Okapi leather notebook case") == [("case", 0), ("notebook", 3)]


def test_what_stands_behind_for_is_another_thing(lexicon: TypeLexicon) -> None:
    assert _names(lexicon, "Zebu 6-cell battery, for notebook") == [("battery", 0), ("notebook", 2.5 + 0.7)]


def test_a_brand_at_the_beginning_is_left_out(lexicon: TypeLexicon) -> None:
    assert [phrase.words for phrase in lexicon.phrases[0]] == [("messenger", "bag", "black")]
    assert "case" not in dict(_names(lexicon, "Case Logic messenger bag black"))


def test_a_kind_of_thing_behind_a_name_is_left_out() -> None:
    notebook = ("notebook", 0)
    assert _names(TypeLexicon(mine_rows(ROWS), TypeSources(thesaurus=NOUNS)), "Zebu ProBook notebook PC")[0] == notebook
    other = make_thesaurus({"pc": "", "notebook": "", "case": "", "bag": "", "battery": "", "paper": "", "sheet": ""})
    without = TypeLexicon(mine_rows(ROWS), TypeSources(thesaurus=other))  # it knows no notebook as a PC
    assert _names(without, "Zebu ProBook notebook PC") == [("pc", 0), ("notebook", 3)]


def test_what_a_number_counts_is_no_thing(lexicon: TypeLexicon) -> None:
    assert [name for name, _ in _names(lexicon, "Okapi paper, 100 sheets white")] == ["paper"]
    assert _names(lexicon, "Okapi white sheet") == [("sheet", 2)]  # a generic name


def test_a_taxonomy_names_phrases() -> None:
    taxonomy = Taxonomy(
        (Category(("Bags",)), Category(("Bags", "Notebook Cases")), Category(("Bags", "Messenger Bags")))
    )
    lexicon = TypeLexicon(mine_rows(ROWS), TypeSources(taxonomy, NOUNS))
    assert _names(lexicon, "Okapi leather notebook case")[0] == ("notebook case", 0)
    assert _names(lexicon, "Case Logic messenger bag black")[0] == ("messenger bag", 0)
    assert _names(lexicon, "Case Logic leather bag")[0] == ("bag", 0)


def test_titles_that_name_nothing_have_no_candidate(lexicon: TypeLexicon) -> None:
    rows = [(f"Okapi EliteBook {at}", "Okapi", "") for at in range(5)]
    assert TypeLexicon(mine_rows(rows), TypeSources(thesaurus=NOUNS)).find_candidates(3) == []


# ---- what the encoder says of a word and its titles

WORDS = {
    "printer": "laserjet",
    "express": "sata",
    "card": "sata",
    "lamp": "laserjet",
    "desk": "oak",
}  # with what stands before
SOLD = make_thesaurus(dict.fromkeys(WORDS, ""))
KINDS = Taxonomy(tuple(Category((f"Night {name}",)) for name in ("Printers", "Expresses", "Cards", "Lamps", "Desks")))
#: To this encoder LaserJets are printers, and what has SATA is a card. To the other one they are lamps and expresses.
PRINTERS = make_encoder(["printer laserjet", "express", "card sata", "lamp", "desk oak"])
EXPRESSES = make_encoder(["printer", "express sata", "card", "lamp laserjet", "desk oak"])


def _read(marked: int, encoder: Embed | None) -> dict[str, list[str]]:
    """Return the names in a title that ends in each word. The tagger marks 40 titles of each word, `marked` of two."""
    rows: list[Row] = [
        (f"Okapi {before} m{at} {word}", "Okapi", word if at < marked or word in ("card", "lamp", "desk") else "")
        for word, before in WORDS.items()
        for at in range(40)
    ]
    lexicon = TypeLexicon(mine_rows(rows), TypeSources(KINDS, SOLD), encoder)
    places = {word: 40 * at + 39 for at, word in enumerate(WORDS)}
    return {word: [found.name for found in lexicon.find_candidates(place)] for word, place in places.items()}


@pytest.mark.parametrize(("marked", "without"), [(2, False), (12, True)])
def test_a_word_that_is_seldom_marked_is_a_name_if_its_titles_are_near_it(marked: int, *, without: bool) -> None:
    names = {word: [word] for word in WORDS}
    assert _read(marked, PRINTERS) == {**names, "express": []}
    assert _read(marked, EXPRESSES) == {**names, "printer": []}
    # The words alone cannot tell the two apart.
    assert _read(marked, None) == (names if without else {**names, "express": [], "printer": []})


def test_a_word_that_is_marked_nearly_always_is_a_name_wherever_its_titles_are() -> None:
    assert _read(36, PRINTERS) == _read(36, EXPRESSES) == {word: [word] for word in WORDS}


# ---- words that no source need know, and words that sources know too well


def _read_last(rows: Sequence[Row], sources: TypeSources, brands: Sequence[str] = ()) -> list[str]:
    """Return the names in the last of some titles. brands: of each, in a field, none by default."""
    lexicon = TypeLexicon(mine_rows(rows, [{"brand": brand} for brand in brands]), sources)
    return [found.name for found in lexicon.find_candidates(len(rows) - 1)]


def test_services_are_names_although_no_source_knows_them() -> None:
    rows = [*ROWS, ("Zebu 3 year extended warranty", "Zebu", ""), ("Zebu installation service", "Zebu", "")]
    sources = TypeSources(thesaurus=NOUNS)
    assert [_read_last(rows[:end], sources) for end in (-1, None)] == [["warranty"], ["service"]]


@pytest.mark.parametrize(("brand", "found"), [("Okapi", []), ("Zebu", ["service"])])
def test_the_services_of_a_brand_name_no_product(brand: str, found: list[str]) -> None:
    rows: list[Row] = [("Zebu EliteBook 2530p 14 in, Okapi mobile service", "Zebu", "")] * 4
    assert _read_last(rows, TypeSources(thesaurus=NOUNS), [*[brand] * 3, "Zebu"]) == found


def test_a_service_costs_nothing_however_rarely_it_is_marked() -> None:
    lexicon = TypeLexicon(mine_rows([("Zebu extended warranty", "Zebu", "")] * 9), TypeSources(thesaurus=NOUNS))
    assert lexicon.find_candidates(0)[0].penalty == 0


@pytest.mark.parametrize("title", ["Zebu heatsink 80 mm", "Zebu copper heatsinks", "Zebu heat sink, black"])
def test_joined_words_of_a_taxonomys_name_are_that_name(title: str) -> None:
    rows: list[Row] = [*ROWS, *[("Zebu heat sink", "Zebu", "heat sink")] * 3, ("Zebu heatsink", "Zebu", "")] * 2
    sources = TypeSources(Taxonomy((Category(("Heat Sinks",)),)), make_thesaurus({"sink": "", "heat": ""}))
    assert _read_last([*rows, (title, "Zebu", "")], sources) == ["heat sink"]


@pytest.mark.parametrize(("times", "found"), [(3, ["ups"]), (2, [])])
def test_an_acronym_that_titles_explain_is_a_name(times: int, found: list[str]) -> None:
    rows: list[Row] = [("Zebu uninterruptible power supply (UPS)", "Zebu", "")] * times
    assert _read_last([*rows, ("Zebu UPS 700", "Zebu", "")], TypeSources(thesaurus=NOUNS)) == found


@pytest.mark.parametrize(("domain", "found"), [(4, []), (6, ["printing"])])
def test_a_gerund_is_a_name_only_if_it_is_a_thing(domain: int, found: list[str]) -> None:
    rows: list[Row] = [(f"Okapi printing {at}", "Okapi", "printing") for at in range(12)]
    printing = TypeSources(Taxonomy((Category(("Printing",)),)), make_thesaurus({"printing": ""}, domain=domain))
    assert _read_last(rows, printing) == found


def test_without_a_thesaurus_a_word_in_ing_may_be_a_thing() -> None:
    rows: list[Row] = [(f"Okapi gold ring {at}", "Okapi", "ring") for at in range(12)]
    assert _read_last(rows, TypeSources(Taxonomy((Category(("Rings",)),)))) == ["ring"]


def test_joined_words_in_the_plural_are_that_name_too() -> None:
    rows: list[Row] = [(f"Zebu heatsinks z{at}", "Zebu", "") for at in range(6)]
    sinks = TypeSources(Taxonomy((Category(("Heat Sinks",)),)), make_thesaurus({"heat": "", "sink": ""}))
    assert _read_last(rows, sinks) == ["heat sink"]


def test_a_joined_name_that_normalising_cuts_to_its_first_word_is_none() -> None:
    rows: list[Row] = [(f"Zebu vacuum z{at}", "Zebu", "vacuum") for at in range(6)]
    sealers = TypeSources(Taxonomy((Category(("Vacuum Sealers",)),)), make_thesaurus({"vacuum": "", "sealer": ""}))
    assert mine_rows(rows).normaliser.value("vacuumsealer") == "vacuum"
    assert "vacuum sealer" not in _read_last(rows, sealers)


#: Nouns of the thesaurus that no category of the taxonomy ends in.
FISH = TypeSources(Taxonomy((Category(("Drives",)),)), make_thesaurus({"barracuda": "", "load": "", "drive": ""}))


@pytest.mark.parametrize(("other", "found"), [("Zebu", ["barracuda"]), ("Okapi", [])])
def test_a_series_of_one_brand_is_no_thing_although_the_thesaurus_knows_it_as_one(other: str, found: list[str]) -> None:
    rows: list[Row] = [(f"{brand} drive d{at}", brand, "drive") for brand in ("Zebu", "Okapi") for at in range(6)]
    rows += [(f"{brand} barracuda b{at}", brand, "barracuda") for at, brand in enumerate(["Okapi"] * 3 + [other] * 2)]
    assert _read_last(rows, FISH, [brand for _, brand, _ in rows]) == found


@pytest.mark.parametrize(("titles", "found"), [("front load white", []), ("white front load", ["load"])])
def test_what_never_ends_a_phrase_and_no_category_is_no_thing(titles: str, found: list[str]) -> None:
    rows: list[Row] = [(f"Zebu {at} kg {titles}", "Zebu", "front load") for at in range(9)]
    assert _read_last(rows, FISH) == found


@pytest.mark.parametrize(("times", "found"), [(2, ["rock"]), (3, [])])
def test_a_word_that_the_tagger_never_marks_is_no_thing_unless_it_is_too_rare_to_say(
    times: int, found: list[str]
) -> None:
    sources = TypeSources(Taxonomy((Category(("Rocks",)),)), make_thesaurus({"rock": ""}))
    assert _read_last([(f"Zebu shadow rock r{at}", "Zebu", "") for at in range(times)], sources) == found


def _read_fuser(marked: int, brands: Sequence[str]) -> list[str]:
    rows: list[Row] = [
        (f"{brand} fuser f{at}", brand, "fuser" if at < marked else "") for at, brand in enumerate(brands)
    ]
    return _read_last(rows, TypeSources(thesaurus=NOUNS), brands)


def test_what_the_tagger_often_marks_is_a_name_if_it_is_what_does_something() -> None:
    assert _read_fuser(10, ["Okapi", "Zebu"] * 6) == ["fuser"]
    assert _read_fuser(9, ["Okapi", "Zebu"] * 6) == []  # not often
    assert _read_fuser(10, ["Okapi", "Zebu"] * 8) == []  # not nearly always
    assert _read_fuser(12, ["Okapi"] * 12) == []  # a series of one brand
    rows: list[Row] = [(f"{brand} fuselle", brand, "fuselle") for brand in ["Okapi", "Zebu"] * 6]
    assert _read_last(rows, TypeSources(thesaurus=NOUNS), ["Okapi", "Zebu"] * 6) == []  # no agent noun


def test_a_word_that_is_rarely_a_head_costs_more() -> None:
    rows: list[Row] = [(f"Zebu battery {at} V case", "Zebu", "battery") for at in range(6)]
    lexicon = TypeLexicon(mine_rows([*rows, *[("Zebu case", "Zebu", "case")] * 2]), TypeSources(thesaurus=NOUNS))
    penalties = {found.name: found.penalty for found in lexicon.find_candidates(0)}
    assert penalties == {"battery": 0, "case": pytest.approx(0.7 + 0.5 * log(8 / 2))}


def test_a_name_in_a_description_alone_costs_more() -> None:
    rows: list[Row] = [*ROWS, ("Okapi 2530p", "Okapi", ""), ("Okapi black, for notebook", "Okapi", "")]
    texts: list[Mapping[str, object]] = [{"text": "Leather bag that lasts"}] * len(rows)
    lexicon = TypeLexicon(mine_rows(rows, texts, ["text"]), TypeSources(thesaurus=NOUNS))
    told, named = (lexicon.find_candidates(len(rows) - at) for at in (2, 1))
    assert told == [Candidate("bag", _TOLD)]
    assert [found.name for found in named] == ["notebook"]  # a title with a name needs no description


def test_the_title_without_some_names_is_what_is_left_of_it() -> None:
    normaliser = mine_rows(ROWS).normaliser
    words = list_words({"battery", "laptop case"}, normaliser)
    assert mask_title("Zebu battery for select laptops", words, normaliser) == "Zebu for select"
    assert mask_title("Zebu battery for select laptops", set(), normaliser) == "Zebu battery for select laptops"
    assert mask_title("Zebu laptopcase", words, normaliser) == "Zebu"  # joined too


@pytest.mark.parametrize(
    ("taxonomy", "domain", "known"), [("Lamps", 6, True), ("Lamps", 4, False), ("Desks", 6, False), ("", 6, False)]
)
def test_a_name_is_in_the_sources_if_both_know_it_as_a_thing(taxonomy: str, domain: int, *, known: bool) -> None:
    kinds = Taxonomy((Category((taxonomy,)),)) if taxonomy else None
    sources = TypeSources(kinds, make_thesaurus({"lamp": ""}, domain=domain))
    assert TypeLexicon(mine_rows(ROWS), sources).is_in_sources("lamp") is known


# ---- category fields

THINGS: list[Row] = [(f"Okapi {name} m{at}", "Okapi", name) for at in range(8) for name in ("lamp", "desk", "chair")]


def _fields(*values: object, name: str = "category", rows: int = len(THINGS)) -> list[dict[str, object]]:
    return [{name: values[at % len(values)]} for at in range(rows)]


def test_a_field_that_names_things_is_used() -> None:
    lexicon = TypeLexicon(mine_rows(THINGS, _fields("Table Lamps", "Desks", "Chairs")), TypeSources())
    assert lexicon.category_fields == ["category"]
    assert lexicon.fields[:3] == [["table lamp"], ["desk"], ["chair"]]
    assert lexicon.is_name("table lamp")


@pytest.mark.parametrize("arrow", [True, False])
def test_the_narrowest_element_of_a_path_names_the_product(arrow: bool) -> None:
    paths = [["Home & Garden", "Lighting", "Table Lamps"], ["Home & Garden", "Desks"], ["Home & Garden", "Chairs"]]
    values = [" > ".join(path) if arrow else path for path in paths]
    lexicon = TypeLexicon(mine_rows(THINGS, _fields(*values)), TypeSources())
    assert lexicon.category_fields == ["category"]  # "home garden" is in all products, and is no fault
    assert lexicon.fields[0] == ["table lamp", "lighting", "home garden"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("Original", "Compatible", "New"), "its values, such as 'original', name no product types"),
        (("Furniture",), "nearly all products have the value 'furniture'"),
        ((1042, 1043, 2001), "its values are numbers, ids or sentences, and no names of things"),
        (("cat-12", "cat-13", "cat-14"), "its values are numbers, ids or sentences, and no names of things"),
    ],
)
def test_a_field_that_names_nothing_is_said_once_and_not_used(
    values: tuple[object, ...], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    lexicon = TypeLexicon(mine_rows(THINGS, _fields(*values, name="product_type")), TypeSources())
    assert lexicon.category_fields == []
    assert not any(lexicon.fields)
    assert caplog.messages == [f"field 'product_type' is not used as a category: {reason}"]


@pytest.mark.parametrize("values", [("Waschmaschinen", "Kühlschränke", "Trockner"), ("洗濯機", "冷蔵庫", "乾燥機")])
def test_in_another_language_the_words_of_a_field_are_taken_for_things(
    values: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(f"Okapi KX{at} weiß", "Okapi", "") for at in range(24)]
    assert TypeLexicon(mine_rows(rows, _fields(*values)), TypeSources()).category_fields == ["category"]
    assert not caplog.messages
    assert TypeLexicon(mine_rows(rows, _fields(*values)), TypeSources(thesaurus=NOUNS)).category_fields == ["category"]
    (message,) = caplog.messages
    assert message.startswith("the taxonomy and the thesaurus know 0 % of the words in titles")
    english = TypeLexicon(mine_rows(ROWS), TypeSources(thesaurus=NOUNS))
    assert not english.is_foreign
