"""The causal-LM backbone on ONNX Runtime (the paper's form): prompts in, a KV cache kept from step to step.

The graph is what train/export_causal.py wrote: token ids, mask, positions and the past's keys and values in,
log-probabilities of the next token and all keys and values out. Knows prompts and tokens, not codes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gram_os.attribute import Side
from gram_os.bundle import Bundle
from gram_os.decode import FloatArray, IntArray, Step
from gram_os.errors import BundleError
from gram_os.onnx_lm import Device, Session
from gram_os.prompts import PROMPTS_VERSION, PromptEncoder, pad_left, positions

GRAPH = "model.onnx"
#: What the graph calls its log-probabilities, float32 (rows, 1, vocabulary): optimum's name for the output of a causal LM.
OUTPUT = "logits"
_ROWS = 64  # rows of one run: bounds the memory that copies of the prompts' cache take

Cache = list[FloatArray]  # keys and values in the graph's order, each (rows, heads, tokens, head width)


@dataclass(frozen=True, slots=True)
class _CausalState:
    """The prompts' cache is held once a text; only what was generated since is held once a row.

    A row is one distinct text and token sequence, so beams that repeat each other cost nothing.
    """

    prompts: Cache  # (texts, heads, words, head width)
    mask: IntArray  # (texts, words), 1 where there is text
    suffix: Cache  # (rows, heads, tokens so far, head width)
    owners: IntArray  # (rows,), text of a row
    rows: IntArray  # (texts, beams), row of a beam


class CausalLm:
    """`LanguageModel` over a causal LM's own tokens."""

    def __init__(self, bundle: Bundle, *, device: Device = "auto", threads: int = 0):
        model, path = bundle.manifest.model, bundle.path / GRAPH
        if model.get("prompts") != PROMPTS_VERSION:
            raise BundleError(
                f"{bundle.path} was trained with prompts of version {model.get('prompts')!r}, this version of gram-os "
                f"writes {PROMPTS_VERSION!r}; train the bundle again, or use the gram-os that exported it"
            )
        self.end = int(model["end"])
        self._prompts = PromptEncoder(bundle.tokenizer)
        self._session = Session(path, device=device, threads=threads)
        self._past = [name for name in self._session.inputs if name.startswith("past_key_values.")]
        self._present = [re.sub("^past_key_values", "present", name) for name in self._past]
        self._shapes = [tuple(self._session.inputs[name].shape) for name in self._past]
        missing = {"input_ids", "attention_mask"} - set(self._session.inputs)
        if missing or not self._past or any(len(shape) != 4 for shape in self._shapes):
            raise BundleError(
                f"{path} is no causal LM with a KV cache; export it with gram_os.train.export_causal"
            )

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """See `LanguageModel.start`."""
        ids, mask = pad_left(self._prompts.encode(texts, side))
        count = len(texts)
        empty = [
            np.zeros((count, int(heads), 0, int(width)), np.float32) for _, heads, _, width in self._shapes
        ]
        log_probs, prompts = self._run(ids, mask, positions(mask), empty, empty, np.arange(count))
        state = _CausalState(prompts, mask, empty, np.arange(count), np.arange(count)[:, None])
        return Step(log_probs[:, None, :], state)

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """See `LanguageModel.advance`."""
        if not isinstance(state, _CausalState):
            raise TypeError(f"not a state of this model: {type(state).__name__}")
        continued = np.take_along_axis(state.rows, parents, axis=1)  # (texts, beams)
        pairs = np.stack([continued.ravel(), tokens.ravel()])
        (kept, added), rows = np.unique(pairs, axis=1, return_inverse=True)
        owners, suffix = state.owners[kept], [part[kept] for part in state.suffix]
        generated = suffix[0].shape[2]
        mask = np.concatenate([state.mask[owners], np.ones((len(kept), generated + 1), np.int64)], axis=1)
        log_probs, new = self._run(
            added[:, None], mask, mask.sum(1, keepdims=True) - 1, state.prompts, suffix, owners
        )
        suffix = [np.concatenate([old, last], axis=2) for old, last in zip(suffix, new, strict=True)]
        rows = rows.reshape(parents.shape)
        return Step(log_probs[rows], _CausalState(state.prompts, state.mask, suffix, owners, rows))

    def _run(
        self, ids: IntArray, mask: IntArray, places: IntArray, prompts: Cache, suffix: Cache, owners: IntArray
    ) -> tuple[FloatArray, Cache]:
        """Log-probabilities (rows, vocabulary) after the last token, and the cache of the tokens in `ids`."""
        found: list[FloatArray] = []
        caches: list[Cache] = []
        for start in range(0, len(ids), _ROWS):
            part = slice(start, start + _ROWS)
            past = [
                np.concatenate([fixed[owners[part]], own[part]], axis=2)
                for fixed, own in zip(prompts, suffix, strict=True)
            ]
            feeds: dict[str, NDArray[np.float32] | NDArray[np.int64]] = dict(
                zip(self._past, past, strict=True)
            )
            feeds |= {"input_ids": ids[part], "attention_mask": mask[part]}
            if "position_ids" in self._session.inputs:
                feeds["position_ids"] = places[part]
            answer = self._session.run(feeds, [OUTPUT, *self._present])
            found.append(answer[OUTPUT][:, -1])
            caches.append([answer[name][:, :, -ids.shape[1] :] for name in self._present])
        return np.concatenate(found), [np.concatenate(parts) for parts in zip(*caches, strict=True)]
