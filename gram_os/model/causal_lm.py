"""The causal-LM backbone on ONNX Runtime (the paper's form): it reads prompts, then chains of tokens below them.

Training exports the graph (gram_os/train/export). Its inputs are tokens and what each of them sees, its output is
log-probabilities. Keys and values exist once for each text, those of its prompt and of all its beams, and grow from
run to run. On a GPU they stay in its memory between runs. This module knows prompts and tokens, but no codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from gram_os.arrays import AnyArray, FloatArray, IntArray
from gram_os.errors import BundleError
from gram_os.model.bundle import Bundle
from gram_os.model.language_model import PROMPT, Chains, Reading, Step
from gram_os.model.onnx_lm import Device, Session
from gram_os.model.prompts import PROMPTS_VERSION, PromptEncoder, pad_left
from gram_os.model.token_tree import Placed, TokenTree
from gram_os.text.attribute import Side

GRAPH = "model.onnx"
#: The graph's inputs and outputs besides keys and values, with the names of their axes.
INPUTS: Final = MappingProxyType(
    {
        "ids": {0: "tokens"},
        "positions": {0: "texts", 1: "slots"},
        "slots": {0: "texts", 1: "slots"},
        "places": {0: "tokens"},
        "seen": {0: "texts", 1: "slots", 2: "keys"},
        "scored": {0: "scored"},
        "wanted": {0: "scored", 1: "any"},
        "whole": {0: "whole"},
    }
)
OUTPUTS: Final = MappingProxyType({"log_probs": {0: "whole"}, "chosen": {0: "scored", 1: "any"}})
_TEXTS, _TEXTS_ON_GPU = 8, 64  # texts in one run
_TOKENS = 2048  # tokens in one run, each scored over the whole vocabulary; a longer chain gets a run of its own

#: Keys and values, layer by layer, each (texts, heads, slots, head width): arrays, or what `Session.run_bound` keeps.
Cache = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Texts that are read in the same runs: their trees, their keys and values."""

    tree: TokenTree
    past: Cache


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The tokens of a run whose next tokens are wanted.

    scored: int64 (scored,), their places in the run. tokens, whole: as `wanted` and `whole` of `Chains`, for these.
    """

    scored: IntArray
    tokens: IntArray
    whole: IntArray


@dataclass(frozen=True, slots=True)
class _CausalState:
    """parts: of equally many texts, the last one smaller. heads: int64 (texts, beams), the node of each last token."""

    parts: tuple[_Part, ...]
    heads: IntArray


class CausalLm:
    """A `ChainModel` over a causal LM's own tokens.

    bound: keys and values stay with the runtime from run to run (IO binding), so that a GPU does not send them to the
    processor and back at each token. None, the default: on a GPU they do, on the CPU they are arrays.
    """

    def __init__(
        self, bundle: Bundle, *, device: Device = "auto", threads: int = 0, bound: bool | None = None
    ):  # fmt: skip
        model, path = bundle.manifest.model, bundle.path / GRAPH
        if model.get("prompts") != PROMPTS_VERSION:
            raise BundleError(
                f"{bundle.path} was trained with prompts of version {model.get('prompts')!r}, this version of gram-os "
                f"writes {PROMPTS_VERSION!r}; train the bundle again, or use the gram-os that exported it"
            )
        self.end = int(model["end"])
        self._prompts = PromptEncoder(bundle.tokenizer)
        self._session = Session(path, device=device, threads=threads)
        inputs = self._session.inputs
        self._past = [name for name in inputs if name.startswith("past.")]
        self._present = [name.replace("past", "present") for name in self._past]
        if not self._past or set(INPUTS) - set(inputs):
            raise BundleError(
                f"{path} is no causal LM that reads chains of tokens; export it again with gram_os.train.export.causal"
            )
        _, self._heads, _, self._width = inputs[self._past[0]].shape
        self._numbers = np.float16 if inputs[self._past[0]].type == "tensor(float16)" else np.float32
        self.bound = self._session.on_cuda if bound is None else bound
        self._texts = _TEXTS_ON_GPU if self._session.on_cuda else _TEXTS

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """See `LanguageModel.start`."""
        prompts, count = self._prompts.encode(texts, side), len(texts)
        parts, found = [], []
        for at in range(0, count, self._texts):
            part, log_probs = self._read_prompts(prompts[at : at + self._texts])
            parts.append(part)
            found.append(log_probs)
        heads = np.full((count, 1), PROMPT)
        return Step(np.concatenate(found)[:, None, :], _CausalState(tuple(parts), heads))

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """See `LanguageModel.advance`. Equal beams are read once."""
        heads = np.take_along_axis(_own(state).heads, parents, axis=1)  # (texts, beams)
        texts = np.repeat(np.arange(len(heads)), heads.shape[1])
        triples = np.stack([texts, heads.ravel(), tokens.ravel()])
        (owners, nodes, added), rows = np.unique(triples, axis=1, return_inverse=True)
        rows, every = rows.reshape(parents.shape), np.arange(len(added))
        single, nothing = np.ones_like(owners), np.zeros((len(added), 0), np.int64)
        reading = self.read_chains(state, Chains(owners, nodes, single, added, nothing, every))
        return Step(reading.log_probs[rows], _CausalState(_own(reading.state).parts, reading.nodes[rows]))

    def read_chains(self, state: object, chains: Chains) -> Reading:
        """See `ChainModel.read_chains`."""
        before = _own(state)
        parts = list(before.parts)
        found: list[Reading] = []
        for start, stop in _cut(chains, self._texts):
            number = int(chains.texts[start]) // self._texts
            some = _slice(chains, start, stop, first=number * self._texts)
            placed = parts[number].tree.place(some.texts, some.parents, some.lengths)
            wanted = _Wanted(np.arange(len(some.tokens)), some.wanted, some.whole)
            log_probs, chosen, past = self._run(placed, some.tokens, wanted, parts[number].past)
            parts[number] = _Part(placed.tree, past)
            found.append(Reading(placed.nodes, chosen, log_probs, None))
        return Reading(
            np.concatenate([part.nodes for part in found]),
            np.concatenate([part.chosen for part in found]),
            np.concatenate([part.log_probs for part in found]),
            _CausalState(tuple(parts), before.heads),
        )

    def _read_prompts(self, prompts: Sequence[Sequence[int]]) -> tuple[_Part, FloatArray]:
        ids, mask = pad_left(prompts)
        placed = TokenTree.plant(mask)
        count, lengths = len(prompts), mask.sum(1)
        empty = np.zeros((count, int(self._heads), 0, int(self._width)), self._numbers)
        every, nothing = np.arange(count), np.zeros((count, 0), np.int64)
        log_probs, _, past = self._run(
            placed,
            ids[mask > 0],
            _Wanted(np.cumsum(lengths) - 1, nothing, every),
            (empty,) * len(self._past),
        )
        return _Part(placed.tree, past), log_probs

    def _run(self, placed: Placed, ids: IntArray, wanted: _Wanted, past: Cache) -> tuple[FloatArray, FloatArray, Cache]:
        feeds: dict[str, AnyArray] = {
            "ids": ids,
            "positions": placed.positions,
            "slots": placed.slots,
            "places": placed.places,
            "seen": placed.seen,
            "scored": wanted.scored,
            "wanted": wanted.tokens,
            "whole": wanted.whole,
        }
        whole: dict[str, Any] = feeds | dict(zip(self._past, past, strict=True))
        answer = self._session.run_bound(whole, self._present) if self.bound else self._session.run(whole)
        return answer["log_probs"], answer["chosen"], tuple(answer[name] for name in self._present)


def _own(state: object) -> _CausalState:
    if not isinstance(state, _CausalState):
        raise TypeError(f"not a state of this model: {type(state).__name__}")
    return state


def _cut(chains: Chains, texts: int) -> Iterator[tuple[int, int]]:
    """Yield the chains of each run as start and stop. A run has texts of one part and at most `_TOKENS` tokens.

    texts: of a part.
    """
    start = tokens = 0
    parts = (chains.texts // texts).tolist()
    for at, length in enumerate(chains.lengths.tolist()):
        if at > start and (parts[at] != parts[start] or tokens + length > _TOKENS):
            yield start, at
            start, tokens = at, 0
        tokens += length
    yield start, len(parts)


def _slice(chains: Chains, start: int, stop: int, *, first: int) -> Chains:
    """Return the chains from `start` to `stop`, with texts counted from `first`."""
    before, behind = int(chains.lengths[:start].sum()), int(chains.lengths[:stop].sum())
    whole = slice(*np.searchsorted(chains.whole, [before, behind]).tolist())
    return Chains(
        chains.texts[start:stop] - first,
        chains.parents[start:stop],
        chains.lengths[start:stop],
        chains.tokens[before:behind],
        chains.wanted[before:behind],
        chains.whole[whole] - before,
    )
