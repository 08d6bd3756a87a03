"""`gram-os search`: words that begin with "-" as texts, as options, and as mistyped options."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.cli.text_command import is_text, move_texts
from tests.command import run

WITH_VALUE = {"--index", "--size"}
words = st.sampled_from(["lamp", "-20 degree", "-5", "--index", "--size", "--json", "--", "-", "-x", "- lamp", "a=1"])


@pytest.mark.parametrize("word", ["-x", "-lamp", "--explian", "--sise=5", "--size 5"])
def test_a_mistyped_option_stays_an_error_and_the_message_names_the_way(word: str) -> None:
    done = run("search", word, "lamp", "--index", "test-none")
    assert done.code == 2
    assert "No such option" in done.err
    assert 'comes last, behind "--"' in " ".join(done.err.split())
    assert "behind" in json.loads(run("search", word, "--index", "test-none", "--json").err)["error"]["message"]


@pytest.mark.parametrize(("words", "says"), [(["-20", "lamp"], "unexpected extra argument"), ([], "Missing argument")])
def test_other_faults_are_named_as_ever(words: list[str], says: str) -> None:
    done = run("search", *words, "--index", "test-none")
    assert done.code == 2
    assert says in done.err
    assert "behind" not in done.err


@given(st.lists(words, max_size=8))
def test_no_word_is_lost_and_a_value_stays_behind_its_option(args: list[str]) -> None:
    moved = move_texts(args, WITH_VALUE)
    assert sorted(word for word in moved if word != "--") == sorted(word for word in args if word != "--")
    front = args[: args.index("--")] if "--" in args else args
    kept = moved[: moved.index("--")] if "--" in moved else moved
    assert [word for word in kept if not is_text(word)] == [word for word in front if not is_text(word)]
    for place, word in enumerate(kept):
        if is_text(word):
            assert kept[place - 1] in WITH_VALUE
