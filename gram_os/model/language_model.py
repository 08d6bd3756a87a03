"""What the beam search needs from a backbone: log-probabilities of the next token.

Every backbone works step by step for a grid of beams (`LanguageModel`). A `ChainModel` also reads several tokens of a
code at once and needs fewer steps. This module knows tokens, but neither the content of texts nor runtimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.attribute import Side

PROMPT = 0  # the node of a text's tree where its codes start: behind the text, before the first token of a code


@dataclass(frozen=True, slots=True)
class Step:
    """A model's result after the tokens so far.

    log_probs: float32 (texts, beams, vocabulary), natural logarithms, of the next token. state: what the model needs to
    continue (encoder output, KV cache); the search does not look into it. types: float32 (texts, types), natural
    logarithms, P(product type | text); only in the first step of a model with type heads.
    """

    log_probs: FloatArray
    state: object
    types: FloatArray | None = None


class LanguageModel(Protocol):
    """A generator's backbone: log P(next token | text, side, tokens so far)."""

    @property
    def end(self) -> int:
        """The token that closes a code."""

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """Read the texts. Returns log-probabilities of the first token, with one beam for each text."""

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """Append one token to each beam.

        parents: int64 (texts, beams), which beam of the step before continues. tokens: int64 (texts, beams).
        """


@dataclass(frozen=True, slots=True)
class Chains:
    """Token sequences to read, each below a node of its text's tree. The texts ascend.

    texts: int64 (chains,). parents: int64 (chains,), the node above a chain's first token, `PROMPT` or one of
    `Reading.nodes`. lengths: int64 (chains,), in tokens. tokens: int64 (tokens,), chain after chain. wanted: int64
    (tokens, any), the next tokens whose log-probabilities are wanted after each token. whole: int64 (some,), ascending,
    the places in `tokens` after which those of the whole vocabulary are wanted.
    """

    texts: IntArray
    parents: IntArray
    lengths: IntArray
    tokens: IntArray
    wanted: IntArray
    whole: IntArray


@dataclass(frozen=True, slots=True)
class Reading:
    """A model's result after the tokens of chains, in natural logarithms.

    nodes: int64 (tokens,), each token's node in its text's tree. chosen: float32 (tokens, any), of the tokens in
    `Chains.wanted`. log_probs: float32 (some, vocabulary), after the places in `Chains.whole`. state: after these
    tokens and all earlier ones.
    """

    nodes: IntArray
    chosen: FloatArray
    log_probs: FloatArray
    state: object


class ChainModel(LanguageModel, Protocol):
    """A model that keeps a tree of tokens for each text. It reads chains below any of its nodes in one step."""

    def read_chains(self, state: object, chains: Chains) -> Reading:
        """Read the chains. `state` comes from the `Step` of `start` or from a `Reading`."""


def reads_chains(model: LanguageModel) -> TypeGuard[ChainModel]:
    """Return whether a model is a `ChainModel`.

    `isinstance` would look at every member of the Protocol, which costs 0.1 ms of a query's 8 ms.
    """
    return hasattr(model, "read_chains")
