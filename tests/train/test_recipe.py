"""Recipes: what is wrong is named by its field, and the shipped ones can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gram_os.errors import FileFormatError, InputError
from gram_os.text.attribute import AttributeType
from gram_os.train.recipe import Recipe, read_recipe

SHIPPED = Path(__file__).parents[2] / "models" / "recipes"


def _write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_part_can_be_set(tmp_path: Path) -> None:
    text = """
label = "shop"
source = "ours"
precision = "fp32"
[tagger]
epochs = 1
[mining]
attributes = { farbe = "colour" }
most_values = 100
[synthesis]
queries = 7
words = false
[sft]
steps = 3
decoder_rate = 1e-3
[serving]
title_codes = 4
[serving.pair]
idf_exponent = 0.5
[serving.pair.title.generated]
scale = 0.7
"""
    recipe = read_recipe(_write(tmp_path, text))
    assert (recipe.label, recipe.precision, recipe.tagger.epochs) == ("shop", "fp32", 1)
    assert recipe.mining.attributes == {"farbe": AttributeType.COLOUR}
    assert (recipe.synthesis.queries, recipe.synthesis.words) == (7, False)
    assert (recipe.sft.steps, recipe.sft.decoder_rate, recipe.sft.queries) == (
        3,
        1e-3,
        64,
    )  # the last by default
    assert recipe.serving.title_codes == 4
    pair = recipe.serving.pair
    assert (pair.idf_exponent, pair.title.generated.scale, pair.title.own.scale) == (0.5, 0.7, 1)


def test_everything_has_a_default(tmp_path: Path) -> None:
    assert read_recipe(_write(tmp_path, "")) == Recipe()
    assert read_recipe(_write(tmp_path, 'label = "x"')) == Recipe(label="x")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('label = "x"\nlable = "y"', "lable"),
        ('label = "x"\n[sft]\nstep = 3', "sft.step"),
        ('label = "x"\n[tagger]\nepoch = 3', "tagger.epoch"),
        ('label = "x"\n[mining]\nleast = 3', "mining.least"),
        ('label = "x"\nsft = 3', "sft"),
        ('label = "x"\nprecision = "int4"', "precision"),
        ('label = "x"\n[sft]\nsteps = "many"', "sft.steps"),
        ('label = "x"\n[mining]\nmost_values = 3', "mining.most_values"),
        ('label = "x"\n[mining.attributes]\nfarbe = "color"', "mining.attributes.farbe"),
        ('label = "x"\n[synthesis]\nqueries = 0', "synthesis.queries"),
    ],
)
def test_unknown_keys_and_wrong_values_are_named(tmp_path: Path, text: str, field: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(FileFormatError) as caught:
        read_recipe(path)
    assert caught.value.field == field
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"label = ", b"label = 'a'\nlabel = 'b'", b"\xff\xfe", b"\x00"])
def test_what_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="no TOML"):
        read_recipe(path)


def test_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist; the shipped ones are in models/recipes/"):
        read_recipe(tmp_path / "absent.toml")
    with pytest.raises(InputError):
        read_recipe(tmp_path)


def test_cold_start_is_what_train_takes_without_a_recipe() -> None:
    recipe = read_recipe(SHIPPED / "cold-start.toml")
    assert recipe.source
    assert recipe == Recipe(source=recipe.source)
