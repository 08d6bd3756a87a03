"""The version of a function's code: it changes with all that the function reaches, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gram_os.text import normalise
from gram_os.train import code_version as module
from gram_os.train.catalogue_stages import mine_catalogue, tag_titles, train_tagger
from gram_os.train.click_stages import fit_pair
from gram_os.train.code_version import code_version
from gram_os.train.model_stages import fine_tune

FILES = {
    "__init__": "",
    "stages": "from gram_os_like.words import split\nLIMIT = 3\n\n\ndef run(text):\n    return _cut(split(text))\n\n\n"
    "def _cut(words):\n    return words[:LIMIT]\n\n\ndef other():\n    return 1\n",
    "words": "from gram_os_like.letters import lower\n\n\ndef split(text):\n    return lower(text).split()\n",
    "letters": "def lower(text):\n    return text.lower()\n",
    "unused": "def nothing():\n    return None\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package whose files a test may change."""
    folder = tmp_path / "gram_os_like"
    folder.mkdir()
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
        ("words", ".split()", ".split(None)"),  # a module that it imports
        ("letters", ".lower()", ".casefold()"),  # a module that this one imports
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
    (package / "templates.tsv").write_text("a\t1\n")
    assert _version() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stages", "def other():\n    return 1", "def other():\n    return 2"),  # a function that it does not call
        ("unused", "return None", "return 1"),
        ("words", "def split(text):\n", 'def split(text):\n    """Split."""\n    # at spaces\n'),
        ("words", "def split(text):", "def split( text ) :"),
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


def test_the_tagger_does_not_depend_on_how_models_are_exported_or_mined() -> None:
    for stage in (train_tagger, tag_titles):
        _, imports = module._reach(module._read(stage.__module__), stage.__name__)
        reached = module._closure(imports)
        assert "gram_os.train.models.tagger" in reached
        assert not [name for name in reached if name.startswith(("gram_os.train.export", "gram_os.train.pair"))]
