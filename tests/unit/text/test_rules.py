"""The version of the text rules: it follows what the rules do, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from types import ModuleType

import pytest
import Stemmer

from gram_os.text import fold, markup, measures, normalise, own_values, rules
from gram_os.text.attribute import AttributeType
from gram_os.text.rules import text_rules_version

# PyStemmer of uv.lock.
RECORDED = "1-8a76b9df728fc394"


class OtherStemmer:
    """Porter 2, but for one word."""

    def __init__(self, word: str):
        self._word, self._inner = word, Stemmer.Stemmer("english")

    def stemWord(self, word: str) -> str:  # noqa: N802  (PyStemmer's name)
        return "other" if word == self._word else str(self._inner.stemWord(word))


def test_the_rules_are_those_on_record() -> None:
    assert text_rules_version() == RECORDED, (
        "the text rules do something else than before, so documents of every index must be coded anew. "
        "If you changed them on purpose: raise NUMBER in gram_os/text/rules.py, record the new version here, and say "
        "in CHANGELOG.md that every index must be attached under a new label and coded. If you did not: PyStemmer "
        f"{Stemmer.version()} stems other words otherwise than the release of uv.lock."
    )


def test_the_number_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "NUMBER", 2)
    assert text_rules_version() == RECORDED.replace("1-", "2-", 1)


@pytest.mark.parametrize("word", ["cartridges", "hopefulness", "organizer", "dying", "proceed", "steel"])
def test_a_stemmer_that_reads_one_word_otherwise_changes_it(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "_PORTER2", OtherStemmer(word))
    assert text_rules_version() != RECORDED


def test_the_same_stemmer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "_PORTER2", OtherStemmer("zebra"))
    assert text_rules_version() == RECORDED


@pytest.mark.parametrize("unit", measures.UNITS)
def test_every_unit_is_probed(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [("other" if name == unit else name, pattern) for name, pattern in measures.UNIT_OF]
    monkeypatch.setattr(measures, "UNIT_OF", others)
    measures._canonical_unit.cache_clear()
    try:
        assert text_rules_version() != RECORDED
    finally:
        measures._canonical_unit.cache_clear()


@pytest.mark.parametrize("word", sorted(normalise.STOPWORDS - {"its"}))  # whose stem is "it"
def test_every_stop_word_is_probed(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise, "STOPWORDS", normalise.STOPWORDS - {word})
    assert text_rules_version() != RECORDED


@pytest.mark.parametrize("kind", AttributeType)
def test_every_type_is_probed(kind: AttributeType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_values, "_WORD_TYPES", own_values._WORD_TYPES ^ {kind})
    assert text_rules_version() != RECORDED


_PATTERNS = [
    (module, name)
    for module in (fold, markup, measures, normalise, own_values)
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
    and name not in ("_DIGIT", "_DIGITS", "_DIGIT_COMMA", "_POINT", "_ASCII_TOKEN", "_TOKEN")
]


@pytest.mark.parametrize(("module", "name"), _PATTERNS, ids=[name for _, name in _PATTERNS])
def test_every_pattern_is_probed(module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = getattr(module, name)
    groups = "".join(f"(?P<{group}>)" for group in pattern.groupindex) or "()" * pattern.groups
    monkeypatch.setattr(module, name, re.compile(f"(?!){groups}"))  # matches nothing
    assert text_rules_version() != RECORDED


def test_where_a_text_is_cut_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    longer = own_values.MAX_TEXT + 20
    monkeypatch.setattr(own_values, "MAX_TEXT", longer)
    if hasattr(rules, "MAX_TEXT"):  # a probe that moved with the constant would not see it change
        monkeypatch.setattr(rules, "MAX_TEXT", longer)
    assert text_rules_version() != RECORDED


def test_it_is_computed_when_it_is_needed_and_fast() -> None:
    started = time.process_time()
    for _ in range(10):
        text_rules_version()
    assert (time.process_time() - started) / 10 < 0.02
    check = "import gram_os.text.normalise as n; n.Normaliser.tokens = None; import gram_os.text.rules"
    subprocess.run([sys.executable, "-c", check], check=True)
