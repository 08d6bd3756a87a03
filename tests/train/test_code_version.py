"""The version of a function's code: it changes with all that the function reaches, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gram_os.text import normalise
from gram_os.train import code_version as module
from gram_os.train.catalogue_stages import make_lessons, match_encoder, mine_catalogue, tag_titles, train_tagger
from gram_os.train.click_stages import fit_pair
from gram_os.train.code_version import code_version
from gram_os.train.model_stages import fine_tune

FILES = {
    "__init__": "",
    "stages": "from gram_os_like.room.words import split\nfrom gram_os_like.beside import tidy\nLIMIT = 3\n\n\n"
    "def run(text):\n    return _cut(split(tidy(text)))\n\n\n"
    "def _cut(words):\n    return words[:LIMIT]\n\n\ndef other():\n    return 1\n",
    "beside": "from gram_os_like.room.unused import nothing\n\n\ndef tidy(text):\n    return text.strip()\n\n\n"
    "def untidy(text):\n    return nothing()\n",
    "room/__init__": "",
    "room/words": "from gram_os_like.room.letters import lower\n\n\ndef split(text):\n    return lower(text).split()\n",
    "room/letters": "def lower(text):\n    return text.lower()\n",
    "room/unused": "def nothing():\n    return None\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package whose files a test may change."""
    folder = tmp_path / "gram_os_like"
    (folder / "room").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "_PACKAGE", "gram_os_like")
    yield folder
    for name in [name for name in sys.modules if name.startswith("gram_os_like")]:
        del sys.modules[name]
    module._read.cache_clear()


def _version() -> str:
    module._read.cache_clear()
    return code_version(importlib.import_module("gram_os_like.stages").run)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stages", "words[:LIMIT]", "words[1:LIMIT]"),  # a function that it calls
        ("stages", "LIMIT = 3", "LIMIT = 4"),  # a constant that this one uses
        ("beside", "text.strip()", "text.rstrip()"),  # a function of the module beside
        ("room/words", ".split()", ".split(None)"),  # a module that it imports
        ("room/letters", ".lower()", ".casefold()"),  # a module that this one imports
    ],
)
def test_what_the_function_reaches_counts(package: Path, file: str, old: str, new: str) -> None:
    before = _version()
    path = package / f"{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert _version() != before


def test_data_files_beside_a_module_count(package: Path) -> None:
    before = _version()
    (package / "room" / "templates.tsv").write_text("a\t1\n")
    assert _version() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stages", "def other():\n    return 1", "def other():\n    return 2"),  # a function that it does not call
        ("beside", "return nothing()", "return text"),
        ("room/unused", "return None", "return 1"),
        ("room/words", "def split(text):\n", 'def split(text):\n    """Split."""\n    # at spaces\n'),
        ("room/words", "def split(text):", "def split( text ) :"),
    ],
)
def test_what_it_does_not_reach_and_words_do_not_count(package: Path, file: str, old: str, new: str) -> None:
    before = _version()
    path = package / f"{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert _version() == before


def test_another_stemmer_is_another_version_of_what_reads_words(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (mine_catalogue, fit_pair, fine_tune, train_tagger)
    before = [code_version(stage) for stage in stages]
    assert len(set(before)) == len(stages)
    monkeypatch.setattr(normalise, "_stem", lambda word: word)
    after = [code_version(stage) for stage in stages]
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, True, True, False]


def _reached(stage: Callable[..., object]) -> set[str]:
    _, imports = module._reach(stage.__module__, stage.__name__)
    return module._closure(imports)


def test_the_tagger_does_not_depend_on_how_models_are_exported_or_mined() -> None:
    for stage in (train_tagger, tag_titles):
        assert "gram_os.train.models.tagger" in _reached(stage)
        other = ("gram_os.train.export", "gram_os.train.pair", "gram_os.train.objectives")
        assert not [name for name in _reached(stage) if name.startswith(other)]


def test_a_stage_depends_on_its_own_objective_alone() -> None:
    objectives = {
        name: {m.rpartition(".")[2] for m in _reached(stage) if m.startswith("gram_os.train.objectives.")}
        for name, stage in {
            "match": match_encoder,
            "codes": make_lessons,
            "sft": fine_tune,
            "mine": mine_catalogue,
        }.items()
    }
    assert objectives == {"match": {"matching"}, "codes": set(), "sft": {"sft", "causal_sft"}, "mine": set()}
