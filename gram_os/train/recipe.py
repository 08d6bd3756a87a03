"""A recipe: everything that decides how a bundle is trained, in one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError, model_validator

from gram_os.errors import FileFormatError, InputError
from gram_os.model.pair_weights import PairWeights
from gram_os.text.attribute import AttributeType
from gram_os.text.code import MAX_CODES
from gram_os.train.lessons.initial_codes import TransferSettings
from gram_os.train.models.causal import CausalSettings
from gram_os.train.models.relevance_model import RelevanceSettings
from gram_os.train.models.tagger import TagRecipe
from gram_os.train.models.type_heads import TypeHeadSettings
from gram_os.train.objectives.alignment import AlignmentSettings
from gram_os.train.objectives.cotraining import CotrainingSettings
from gram_os.train.objectives.matching import MatchingSettings
from gram_os.train.objectives.sft import SftSettings
from gram_os.train.pair.fit import PairSettings


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MiningRecipe(_Part):
    """What is read off the catalogue."""

    attributes: Mapping[str, AttributeType] | None = None  # field -> type; detected when not given
    texts: tuple[str, ...] = ("short_description", "description")  # further text fields of products
    most_values: int = Field(8000, ge=10)
    least_products: int = Field(3, ge=1)


class TypesRecipe(_Part):
    """What people call things, beside the catalogue: a taxonomy and a thesaurus, and how the type heads train."""

    taxonomy: Path | None = None  # folder of Shopify's or Google's category files
    thesaurus: Path | None = None  # folder of WordNet's noun files
    heads: TypeHeadSettings = TypeHeadSettings()


class SynthesisRecipe(_Part):
    """How many queries are made, beside one for each value and each common English word."""

    queries: int = Field(30_000, ge=1)
    words: bool = True
    seed: int = 0


class CotrainingRecipe(_Part):
    """Rounds of co-training, and how long and fast each one trains."""

    rounds: int = Field(1, ge=0)
    steps: int = Field(150, ge=1)
    encoder_rate: float = 5e-5
    decoder_rate: float = 2e-4
    selection: CotrainingSettings = CotrainingSettings()

    def schedule(self) -> dict[str, Any]:
        """What differs from SFT's own settings."""
        return {"steps": self.steps, "encoder_rate": self.encoder_rate, "decoder_rate": self.decoder_rate}


class ServingRecipe(_Part):
    """What the manifest tells serving; see `Manifest`."""

    title_codes: int = 10
    title_values: int = 60
    query_values: int = 40

    @property
    def query_width(self) -> int:
        """Single values that a query's codes are made of in memory: a causal LM's come from the beam alone."""
        return max(self.query_values, MAX_CODES)

    @property
    def title_width(self) -> int:
        """The same of a title."""
        return max(self.title_values, self.title_codes)

    pair: PairWeights = PairWeights()
    lexical_weight: NonNegativeFloat = 0.06  # of BM25 in the hybrid, beside the pair score's 1


class Recipe(_Part):
    """A whole recipe; the tables of the TOML file have the names of the fields."""

    label: str = "v1"
    source: str = ""
    precision: Literal["fp32", "fp16", "int8"] = "int8"  # fp16 for a causal LM, on a GPU
    held_out: float = Field(0.05, ge=0, lt=1)  # share of the clicked queries that measure and are not learned from
    tagger: TagRecipe = TagRecipe()
    tagger_checkpoint: Path | None = None  # a tagger that an earlier run trained: it serves any catalogue
    tag_branch: TagRecipe = TagRecipe(epochs=6, learning_rate=5e-4)  # the tagger that goes into the bundle
    mining: MiningRecipe = MiningRecipe()
    synthesis: SynthesisRecipe = SynthesisRecipe()
    types: TypesRecipe = TypesRecipe()
    matching: MatchingSettings = MatchingSettings()  # with clicks
    initial_codes: TransferSettings = TransferSettings()  # with clicks
    sft: SftSettings = SftSettings()
    relevance: RelevanceSettings = RelevanceSettings()  # with clicks, where there is a round of co-training
    cotraining: CotrainingRecipe = CotrainingRecipe()  # with clicks
    alignment: AlignmentSettings = AlignmentSettings()  # with clicks
    pair: PairSettings = PairSettings()
    causal: CausalSettings | None = None  # a causal LM in place of the compact backbone
    serving: ServingRecipe = ServingRecipe()

    @model_validator(mode="after")
    def _check_precision(self) -> Recipe:
        if self.precision == "fp16" and self.causal is None:
            raise ValueError(
                'precision "fp16" is for a causal LM ([causal]); the compact backbone has "int8" and "fp32"'
            )
        return self


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
