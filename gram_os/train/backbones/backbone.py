"""What the stages of a run ask of the model that they train: the compact one (compact_stage.py) or a causal LM (causal_stage.py).

Codes are in the dictionary's tokens wherever nothing else is said, so that what is done with them knows no backbone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.teach import TrainingSet
from gram_os.train.loop.training_loop import Journal, RateGroup
from gram_os.train.objectives.sft import SftSettings
from gram_os.train.pair.data import CodeTexts


class Backbone(CodeTexts, Protocol):
    """A generator in training, over one catalogue's dictionary."""

    @property
    def model(self) -> nn.Module:
        """A `CodeModel`; its texts are what `ids` gives, its codes what `write` gives."""

    def fine_tune(self, examples: TrainingSet, settings: SftSettings, journal: Journal) -> None:
        """SFT, in place. Raises InputError where no text of a side has a code."""

    def generate(self, texts: Sequence[str], side: Side, width: int) -> list[list[Tokens]]:
        """The `width` likeliest codes of each text, best first, by the beam search of serving."""

    def write(self, codes: Iterable[Tokens]) -> list[Tokens]:
        """Codes in the model's own tokens; those that it cannot write are left out."""

    def count_values(self, code: Tokens) -> int:
        """How many attribute values a code in the model's own tokens has."""

    def groups(self, encoder_rate: float, decoder_rate: float) -> list[RateGroup]:
        """What learns, at which peak rates."""

    def save(self, folder: Path) -> None:
        """Write what was trained, from the first process of a launcher."""

    def load(self, folder: Path) -> None:
        """Become what `save` wrote."""
