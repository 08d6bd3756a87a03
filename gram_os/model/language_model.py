"""What the beam search asks of a model, whatever its backbone: log-probabilities of the next token.

Every backbone answers step by step for a grid of beams (`LanguageModel`); one that reads several tokens of a code at
once (`ChainModel`) is asked fewer times. Knows tokens, neither texts' content nor runtimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.attribute import Side

PROMPT = 0  # the node of every text's tree at which the codes start: the text is read, no token of a code is


@dataclass(frozen=True, slots=True)
class Step:
    """What a model says after the tokens so far.

    log_probs: float32 (texts, beams, vocabulary), natural logarithm, of the next token;
    state: whatever the model needs to go on (encoder output, KV cache); opaque to the search.
    """

    log_probs: FloatArray
    state: object


class LanguageModel(Protocol):
    """A generator's backbone: log P(next token | text, side, tokens so far)."""

    @property
    def end(self) -> int:
        """The token that closes a code."""

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """Read the texts; log-probabilities of the first token, with one beam a text."""

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """Append one token to each beam.

        parents, tokens: int64 (texts, beams); `parents` says which beam of the step before is continued.
        """


@dataclass(frozen=True, slots=True)
class Chains:
    """Token sequences to read, each below a node of its text's tree; the texts ascend.

    texts, parents, lengths: int64 (chains,), `PROMPT` or what `Reading.nodes` said the parent of a chain's first token;
    tokens: int64 (tokens,), chain after chain; wanted: int64 (tokens, any), the next tokens asked for after each of them;
    whole: int64 (some,), ascending, the places in `tokens` after which the whole vocabulary is asked for.
    """

    texts: IntArray
    parents: IntArray
    lengths: IntArray
    tokens: IntArray
    wanted: IntArray
    whole: IntArray


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says after the tokens of chains, natural logarithms.

    nodes: int64 (tokens,), each token's node in its text's tree; chosen: float32 (tokens, any), of the tokens wanted;
    log_probs: float32 (some, vocabulary); state: with these tokens, and all that were read before.
    """

    nodes: IntArray
    chosen: FloatArray
    log_probs: FloatArray
    state: object


class ChainModel(LanguageModel, Protocol):
    """A model that keeps a tree of tokens a text and reads chains of them below any node in one step."""

    def read_chains(self, state: object, chains: Chains) -> Reading:
        """Read the chains; `state` is that of a `Step` of `start`, or of a `Reading`."""


def reads_chains(model: LanguageModel) -> TypeGuard[ChainModel]:
    """Whether a model is a `ChainModel`. `isinstance` would look at every member of the protocol, .1 ms of a query's 8."""
    return hasattr(model, "read_chains")
