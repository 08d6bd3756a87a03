"""The stages that train the generator without a look at clicks, and the codes of the catalogue under it."""

from __future__ import annotations

from pathlib import Path

from gram_os.train.artifacts import (
    CODED_TITLES,
    open_backbone,
    open_catalogue,
    open_compact,
    open_training_set,
    start_backbone,
)
from gram_os.train.stage_inputs import StageInputs


def fine_tune(inputs: StageInputs, folder: Path) -> None:
    """Supervised fine-tuning of both sides (GRAM section 3)."""
    backbone = start_backbone(inputs)
    examples = open_training_set(inputs)
    backbone.fine_tune(examples, inputs.recipe.sft, inputs.journal(folder))
    backbone.save(folder)


def learn_tags(inputs: StageInputs, folder: Path) -> None:
    """The bundle's tagger, over the encoder as the stages before left it."""
    backbone = open_compact(inputs, inputs.folder("model"))
    backbone.learn_tags(inputs.tagging_data, inputs.recipe.tag_branch)
    backbone.save(folder)


def code_titles(inputs: StageInputs, folder: Path) -> None:
    """The catalogue's codes under the model."""
    backbone = open_backbone(inputs, inputs.folder("model"))
    titles = open_catalogue(inputs).code_titles(backbone, inputs.recipe.serving.title_width)
    titles.save(folder / CODED_TITLES)
