"""The rules of docs/text-rules.md as a table: what a text says, and the values that it gives.

One row is one rule at work. The value of a word or measure comes first, its parts follow.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gram_os.text.normalise import Normaliser

PLAIN = Normaliser()
# As a catalogue's bundle has them: stems with the commonest writing, accents included.
GERMAN = Normaliser({"kuhlschrank": "kühlschrank", "cafe": "café"}, decimal_comma=True)

MARKS = [
    # Kana: voicing marks make another letter. Half-width forms are the same letters.
    ("グラス クラス", ["グラス", "クラス"]),
    ("ﾌﾟﾘﾝﾀｰ", ["プリンター"]),
    ("カ゛ ハ゜", ["ガ", "パ"]),  # the mark as a sign of its own
    ("か\u3099", ["が"]),  # a letter and a combining mark
    # Scripts whose vowels are marks: a word stays whole.
    ("नीली साड़ी", ["नीली", "साड़ी"]),  # Hindi
    ("সুতির কাপড়", ["সুতির", "কাপড়"]),  # Bengali
    ("பெட்டி", ["பெட்டி"]),  # Tamil
    ("પુસ્તક", ["પુસ્તક"]),  # Gujarati
    ("రంగు పుస్తకం", ["రంగు", "పుస్తకం"]),  # Telugu
    ("น้ำหอม ที่นอน", ["น้ำหอม", "ที่นอน"]),  # Thai; the vowel "am" stays one sign
    ("ນ້ຳຫອມ", ["ນ້ຳຫອມ"]),  # Lao
    ("ខោអាវ", ["ខោអាវ"]),  # Khmer
    # Arabic and Hebrew: the word as it is written; without its vowels it is a part, because few people type them.
    ("ساعة أنيقة", ["ساعة", "أنيقة", "انيقة"]),
    ("كِتَاب", ["كِتَاب", "كتاب"]),
    ("كـــتاب", ["كتاب"]),  # stretched
    ("סֵפֶר", ["סֵפֶר", "ספר"]),
    ("סֵפֶר-יָד", ["סֵפֶר יָד", "סֵפֶר", "יָד", "סֵפֶריָד", "ספר יד", "ספר", "יד"]),
    # Latin, Greek and Cyrillic: accents do not count.
    ("Crème brûlée", ["creme", "brule"]),
    ("Łóżko Ørsted đèn Æble", ["lozko", "orst", "den", "aebl"]),
    ("Αθήνα", ["αθηνα"]),
    ("ёлка за\u0301мок", ["елка", "замок"]),
    # й, ї and ў are letters of their own, not и, і and у with a mark.
    ("чайник їжак ўзор", ["чайник", "їжак", "ўзор"]),
]

UNSEEN = [
    ("key\u00adboard", ["keyboard"]),  # soft hyphen
    ("key\u200bboard", ["keyboard"]),  # zero-width space
    ("\ufeffkeyboard\u200e", ["keyboard"]),  # byte-order mark, mark of direction
    ("می\u200cخواهم", ["میخواهم"]),  # Persian writes a joiner within a word
    ("น้ำ\u200bหอม", ["น้ำ", "หอม"]),  # but a zero-width space is a space where a script writes none
    ("1\ufe0f\u20e3 star", ["1", "star"]),  # a keycap
    ("T\u2011shirt", ["t shirt", "t", "shirt", "tshirt"]),  # non-breaking hyphen
]

DECIMALS = [
    (
        "Laptop 15,6 Zoll, 500 Gramm, 2 Stück",
        ["laptop", "15.6 in", "15.6", "500 g", "500", "2 pc", "2"],
    ),  # German units
    ("bottle 0,5 l", ["bottl", "0.5 l", "0.5"]),  # a zero before the comma
    ("0,75", ["0.75"]),
    ("2,5 cm", ["2.5 cm", "2.5"]),  # a unit behind one or two decimals
    ("12,50 m", ["12.5 m", "12.5"]),
    ("2,5 x 3,75 cm", ["2.5", "3.75 cm", "3.75"]),
    ("10,5-12,5 mm", ["10.5-12.5 mm", "10.5 mm", "12.5 mm"]),
    ("4.299,00", ["4299"]),  # dots of thousands before the comma
    ("12.345.678,9", ["12345678.9"]),
    ("1,000 sheets", ["1000", "sheet"]),  # three digits are thousands
    ("2,500.75", ["2500.75"]),
    ("1,500 kg", ["1500 kg", "1500"]),  # ambiguous: a point, if the catalogue does not say otherwise
    ("1.500 kg", ["1.5 kg", "1.5"]),
    ("1,2,3 10,100,1000", ["1", "2", "3", "10", "100", "1000"]),  # lists
    ("1,5", ["1", "5"]),  # two numbers, if the catalogue does not say otherwise
]

COMMAS = [
    ("1,500 kg", ["1.5 kg", "1.5"]),
    ("1.500 kg", ["1500 kg", "1500"]),
    ("10,5", ["10.5"]),
    ("1.5 kg", ["1.5 kg", "1.5"]),
    ("2,500.75", ["2500.75"]),  # its own evidence is stronger
    ("10,100,1000", ["10", "100", "1000"]),
    ("1,125 m", ["1.1250 m", "1.1250"]),  # four decimals, so that nobody reads the value as 1125 again
]

MARKUP = [
    ("<ul><li>Red</li><li>Blue</li></ul>", ["red", "blue"]),
    ("w<b>a</b>ter<br>proof", ["water", "proof"]),
    ('<p style="color:#333">lamp</p>', ["lamp"]),
    ("R&amp;D &quot;lamp&quot;&nbsp;2", ["rd", "lamp", "2"]),
    ("lamp&amp;nbsp;black", ["lamp", "black"]),  # escaped twice
    ("&lt;p&gt;lamp&lt;/p&gt;", ["lamp"]),  # markup that was escaped
    ("<script>var div = 1</script>lamp<!-- no -->", ["lamp"]),
    ("4 < 5, <3, AT&T, 5 <10 in", ["4", "5", "3", "att", "10 in", "10"]),
    ("<Acme Pro> lamp", ["acm", "pro", "lamp"]),  # no tag
]

MODELS = [
    ("EH-TW7100", ["ehtw7100", "eh", "tw7100", "7100"]),
    ("WF-1000XM5", ["wf1000xm5", "wf", "1000xm5", "1000", "xm5"]),
    ("XG2402T 720p", ["xg2402t", "2402", "720p", "720"]),
    ("BX80546KG2800EA", ["bx80546kg2800ea", "80546"]),  # the longest number alone
    ("A4 E27 cat6 cat5e PS5", ["a4", "e27", "cat6", "cat5e", "ps5"]),  # short numbers are no parts
    ("M8x40", ["m8", "40"]),
    ("M8x1.25x40mm", ["m8", "1.25", "40 mm", "40"]),
    ("M6 x 30", ["m6", "30"]),
    ("1/4-20", ["1/4-20", "0.25", "20"]),  # a thread is no 1420
    ("14/2", ["14/2", "14", "2"]),  # a wire is no 142
    ("250 14/2 ft", ["250-14-2 ft", "250 ft", "14 ft", "2 ft"]),
    ("100 14/2", ["100 14/2", "100", "14/2", "14", "2"]),
    ("2-3 person", ["2-3", "2", "3", "person"]),
    ("48-11-1850", ["48111850", "48", "11", "1850"]),
    ("USB-C", ["usb c", "usb", "c", "usbc"]),
    ("C++ C# F#", ["c++", "c#", "f#"]),
]

DEGREES = [
    ("-18 °C", ["-18 deg c", "-18", "-18 deg"]),
    ("18 °C", ["18 deg c", "18", "18 deg"]),
    ("−18 degrees", ["-18 deg", "-18"]),  # the minus of Unicode
    ("350°F", ["350 deg f", "350", "350 deg"]),
    ("freezer -18", ["freezer", "18", "-18"]),
    ("Drill -18V", ["drill", "18 v", "18"]),  # a dash
]

TABLE = [*MARKS, *UNSEEN, *DECIMALS, *MARKUP, *MODELS, *DEGREES]


@pytest.mark.parametrize(("text", "values"), TABLE, ids=[text for text, _ in TABLE])
def test_values_of_a_text(text: str, values: list[str]) -> None:
    assert PLAIN.values(text) == values


@pytest.mark.parametrize(("text", "values"), COMMAS, ids=[text for text, _ in COMMAS])
def test_values_in_a_catalogue_of_decimal_commas(text: str, values: list[str]) -> None:
    assert GERMAN.values(text) == values
    (value, *_) = values
    assert GERMAN.value(value) == value


def test_numbers_meet_that_are_equal_and_no_others() -> None:
    half, five = set(PLAIN.values("Trinkflasche 0,5 l")), set(PLAIN.values("Trinkflasche 5 l"))
    assert half & five == set(PLAIN.values("Trinkflasche"))
    assert not set(PLAIN.values("-20 °C")) & set(PLAIN.values("20 °C"))
    assert not set(PLAIN.values("C#")) & set(PLAIN.values("C"))
    assert not set(PLAIN.values("1/4-20")) & {"1420"}


@pytest.mark.parametrize("text", ["Kühlschrank", "kuhlschrank", "KÜHLSCHRANK", "ku\u0308hlschrank"])
def test_accents_show_and_do_not_count(text: str) -> None:
    assert GERMAN.value(text) == "kühlschrank"
    assert GERMAN.values(f"{text}-Café, {text}") == ["kühlschrank café", "kühlschrank", "café"]


def test_a_word_of_five_thousand_letters_is_one_value_and_no_more() -> None:
    assert PLAIN.values("x" * 5000) == ["x" * 5000]
    assert PLAIN.values("ab12345" * 700) == ["ab12345" * 700]


PAGE = (Path(__file__).parents[3] / "docs/text-rules.md").read_text(encoding="utf-8")


def test_the_page_has_the_values_that_the_code_gives() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (`[^|]*`) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 30
    for text, values in rows:
        assert PLAIN.values(text) == re.findall(r"`([^`]+)`", values), text


def test_the_page_has_both_readings_of_an_ambiguous_number() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (`[^|]*`) \| (`[^|]*`) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for text, *readings in rows:
        for normaliser, values in zip((PLAIN, GERMAN), readings, strict=True):
            found = re.findall(r"`([^`]+)`", values)
            assert normaliser.values(text)[: len(found)] == found, text
