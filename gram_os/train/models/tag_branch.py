"""The tagger of a bundle: own last layers over the hidden states of the generator's encoder.

A generator's encoder ends as a sentence encoder: the labels of words cannot be read off its last layer. A tagger's
encoder is no sentence encoder (docs/log.md, 2026-11-22). So the generator's encoder stays as it is, and copies of the
tagger's last layers read a trained weighted sum of all its layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from gram_os.train.models.tagger import TagExample, TagModel, TagRecipe, train_tagger

_OWN_LAYERS = 2  # F1 on QueryNER's validation set .650, with one layer .616 (docs/log.md)

#: ids and mask, int64 (texts, tokens) -> hidden states of the encoder, float (texts, tokens, levels, width). Level 0
#: is the input of the first layer, the last level is the output of the last layer.
ReadStates: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class TagBranch(nn.Module):
    """Transformer layers over the weighted sum of an encoder's hidden states.

    layers: the layers to copy. levels: how many hidden states the encoder has. At the start the sum is the one state
    that the first of these layers reads in its own encoder.
    """

    def __init__(self, layers: Sequence[nn.Module], levels: int):
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(layer) for layer in layers)
        share = torch.zeros(levels)
        share[levels - 1 - len(layers)] = 1.0
        self.share = nn.Parameter(share)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Read hidden states (`ReadStates`) and their mask, int64 (texts, tokens) -> float (texts, tokens, width)."""
        hidden = (states * self.share[:, None]).sum(2)
        masked = (1.0 - mask[:, None, None, :].to(hidden.dtype)) * -1e9
        for layer in self.layers:
            answer = layer(hidden, masked)
            hidden = answer[0] if isinstance(answer, tuple) else answer  # transformers 4 and 5
        return hidden


class BranchedTagger(TagModel):
    """A tag model with a branch as its encoder; the encoder behind `read` is neither trained nor saved with it."""

    def __init__(self, tagger: TagModel, read: ReadStates):
        """Start from the last layers and the head of a whole tagger of the same shape."""
        layers = list(tagger.encoder.encoder.layer)
        super().__init__(TagBranch(layers[-_OWN_LAYERS:], len(layers) + 1), copy.deepcopy(tagger.head))
        self.read = read

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `TagModel.encode`."""
        hidden: Tensor = self.encoder(self.read(ids, mask), mask)
        return hidden


def read_states(encoder: Any) -> ReadStates:
    """Return the function that reads hidden states from an encoder; the encoder is not trained through it."""

    @torch.no_grad()
    def read(ids: Tensor, mask: Tensor) -> Tensor:
        encoder.eval()
        return torch.stack(hidden_states(encoder, ids, mask), 2)

    return read


def hidden_states(encoder: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """Return the hidden states of a transformers encoder, one float (texts, tokens, width) a level."""
    found = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    return tuple(found.hidden_states)


def train_branch(model: BranchedTagger, examples: Sequence[TagExample], recipe: TagRecipe) -> Iterator[float]:
    """Train the branch and its head as `train_tagger` trains a tagger; each text goes through the encoder once.

    The hidden states of all texts stay in memory in half precision, about 80 kB a text.
    """
    read = model.read
    model.read = _remember(read)
    try:
        yield from train_tagger(model, examples, recipe)
    finally:
        model.read = read


def _remember(read: ReadStates) -> ReadStates:
    """Return a function that reads each text once and then answers from memory."""
    known: dict[tuple[int, ...], Tensor] = {}

    def recall(ids: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(1).tolist()
        texts = [tuple(row[:length]) for row, length in zip(ids.tolist(), lengths, strict=True)]
        if any(text not in known for text in texts):
            states = read(ids, mask).half()
            known.update((text, states[row, : len(text)].clone()) for row, text in enumerate(texts))
        return pad_sequence([known[text] for text in texts], batch_first=True).float()

    return recall
