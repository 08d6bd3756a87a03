"""What the stages of a training need of the model that they train: the compact one or a causal LM.

Codes are in the dictionary's tokens unless a docstring says otherwise, so code that works with them knows no backbone.
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
        """The network, a `CodeModel`; its texts are the token ids of `ids`, its codes those of `write`."""

    def fine_tune(self, examples: TrainingSet, settings: SftSettings, journal: Journal) -> None:
        """Fine-tune the model in place (SFT). Raises InputError where no text of a side has a code."""

    def generate(self, texts: Sequence[str], side: Side, width: int) -> list[list[Tokens]]:
        """Generate the `width` likeliest codes of each text, best first, by the beam search of serving."""

    def write(self, codes: Iterable[Tokens]) -> list[Tokens]:
        """Turn codes into the model's own tokens; codes that it cannot write are left out."""

    def count_values(self, code: Tokens) -> int:
        """Count the attribute values of a code in the model's own tokens."""

    def groups(self, encoder_rate: float, decoder_rate: float) -> list[RateGroup]:
        """Return the trained parameters with their peak rates."""

    def save(self, folder: Path) -> None:
        """Write the trained weights into a folder, from the first process of a launcher."""

    def load(self, folder: Path) -> None:
        """Take over the weights that `save` wrote."""
