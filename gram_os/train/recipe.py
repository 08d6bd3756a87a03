"""A recipe: everything that decides how a bundle is trained, in one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gram_os.attribute import AttributeType
from gram_os.errors import FileFormatError, InputError
from gram_os.pair_weights import PairWeights
from gram_os.train.causal import CausalSettings
from gram_os.train.sft import SftSettings
from gram_os.train.tagger import TagRecipe


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MiningRecipe(_Part):
    """What is read off the catalogue."""

    attributes: Mapping[str, AttributeType] | None = None  # field -> type; detected when not given
    texts: tuple[str, ...] = ("short_description", "description")  # further text fields of products
    most_values: int = Field(8000, ge=10)
    least_products: int = Field(3, ge=1)


class SynthesisRecipe(_Part):
    """How many queries are made, beside one for each value and each common English word."""

    queries: int = Field(50_000, ge=1)
    words: bool = True
    seed: int = 0


class ServingRecipe(_Part):
    """What the manifest tells serving; see `Manifest`."""

    title_codes: int = 10
    pair: PairWeights = PairWeights()
    gram_weight: float = 1.5


class Recipe(_Part):
    """A whole recipe; the tables of the TOML file have the names of the fields."""

    label: str = "v1"
    source: str = ""
    precision: Literal["fp32", "int8"] = "int8"
    tagger: TagRecipe = TagRecipe()
    mining: MiningRecipe = MiningRecipe()
    synthesis: SynthesisRecipe = SynthesisRecipe()
    sft: SftSettings = SftSettings()
    causal: CausalSettings | None = None  # a causal LM in place of the compact backbone
    serving: ServingRecipe = ServingRecipe()


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; unknown keys and wrong values are named."""
    if not path.is_file():
        raise InputError(f"recipe {path} does not exist; the shipped ones are in models/recipes/")
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(path, f"no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise FileFormatError(path, str(first["msg"]), field=".".join(map(str, first["loc"]))) from error
