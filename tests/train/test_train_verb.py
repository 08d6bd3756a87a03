"""`gram-os train`: what it refuses before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import run


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    path = tmp_path / "products.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "title": f"Lamp {n}"}) + "\n" for n in range(49)))
    return str(path)


def test_catalogue_too_small_to_learn_from(catalogue: str, tmp_path: Path) -> None:
    done = run("train", "--catalogue", catalogue, "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert "49 products are too few to learn from; give a catalogue of at least 50" in done.err
    assert not (tmp_path / "out").exists()


def test_files_that_are_not_there(catalogue: str, tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    out = ("--out", str(tmp_path / "out"))
    for words in (("--catalogue", absent), ("--catalogue", catalogue, "--recipe", absent)):
        done = run("train", *words, *out)
        assert done.code == 2
        assert absent in done.err


def test_recipe_with_an_unknown_key(catalogue: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[sft]\nstep = 3\n")
    done = run("train", "--catalogue", catalogue, "--recipe", str(recipe), "--out", str(tmp_path / "o"), "--json")
    assert done.code == 2
    error = json.loads(done.err)["error"]
    assert error["type"] == "FileFormatError"
    assert "field 'sft.step'" in error["message"]


def test_sources_of_clicks_that_do_not_go_together(catalogue: str, tmp_path: Path) -> None:
    words = ("train", "--catalogue", catalogue, "--out", str(tmp_path / "out"))
    given = {
        ("--queries", "q.tsv"): "--queries and --judgments belong together",
        ("--ubi", "--clicks", "c.tsv"): "give one of --clicks, --queries with --judgments, and --ubi",
        ("--relevant", "2"): "--relevant says which judgments count as clicks; it needs --judgments",
    }
    for options, message in given.items():
        done = run(*words, *options)
        assert done.code == 2
        assert message in done.err


def test_dry_run_prints_the_stages_and_writes_nothing(catalogue: str, tmp_path: Path) -> None:
    products = Path(catalogue)
    products.write_text(products.read_text() * 2 + '{"id": "x", "title": "Desk"}\n')
    words = ("train", "--catalogue", catalogue, "--out", str(tmp_path / "out"), "--dry-run")
    done = run(*words)
    assert done.code == 0
    assert "nothing was run" in done.out
    assert not (tmp_path / "out").exists()
    plan = json.loads(run(*words, "--json").out)
    assert [stage["stage"] for stage in plan["stages"]] == [
        "tagger", "tags", "mine", "types", "codes", "sft", "tag-branch", "type-heads", "export",
    ]  # fmt: skip
    assert {stage["state"] for stage in plan["stages"]} == {"runs"}
    assert plan["stages"][2] == plan["stages"][2] | {"reads": ["products", "tags"], "makes": "mined"}
    assert "clicks" not in plan["stages"][4]["reads"]
    assert plan["estimated_seconds"] == pytest.approx(sum(s["estimated_seconds"] for s in plan["stages"]), abs=7)
    clicks = tmp_path / "clicks.tsv"
    clicks.write_text("query\tproduct_id\n" + "".join(f"lamp {n}\t{n}\n" for n in range(40)))
    plan = json.loads(run(*words, "--json", "--clicks", str(clicks)).out)
    assert [stage["stage"] for stage in plan["stages"]] == [
        "tagger", "tags", "mine", "types", "matching", "codes", "sft", "relevance", "co-train-1", "align",
        "coded-titles", "pair", "tag-branch", "type-heads", "export",
    ]  # fmt: skip
