"""ONNX Runtime: sessions, and the compact backbone on them. The only module that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gram_os.arrays import AnyArray, FloatArray, IntArray
from gram_os.errors import BundleError, GramError, MissingExtraError
from gram_os.model import type_heads
from gram_os.model.bundle import Bundle
from gram_os.model.decode import Step
from gram_os.model.type_heads import TypeHeads, pool_sentences
from gram_os.text.attribute import Side
from gram_os.text.tagger import pad_ids

Device = Literal["auto", "cpu", "cuda"]
MAX_TEXT_TOKENS = 64  # longer texts are cut; the first words of a title matter most


class Session:
    """One graph, run on the chosen device.

    device: "cpu", "cuda", or "auto" for CUDA where ONNX Runtime opens the graph on it, else the CPU. Raises
    MissingExtraError without ONNX Runtime, BundleError where the graph cannot be opened, and GramError where CUDA is
    wanted and is not there.
    """

    def __init__(self, path: Path, *, device: Device = "auto", threads: int = 0):
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise MissingExtraError("ONNX Runtime", "cpu") from error
        available = ort.get_available_providers()
        if device == "cuda" and "CUDAExecutionProvider" not in available:
            raise GramError(
                f"device 'cuda' was asked for, but this ONNX Runtime offers {available}; install 'gram-os[gpu]' in "
                "place of 'gram-os[cpu]', or set the device to 'cpu'"
            )
        wanted = ["CPUExecutionProvider"] if device == "cpu" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Without this, idle threads spin: a graph's take the cores from the other graph, and from a cluster beside it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=[name for name in wanted if name in available]
            )
        except Exception as error:
            raise BundleError(f"{path} cannot be opened by ONNX Runtime {ort.__version__}: {error}") from error
        self.on_cuda = "CUDAExecutionProvider" in self._session.get_providers()
        if device == "cuda" and not self.on_cuda:
            raise GramError(
                f"device 'cuda' was asked for, but ONNX Runtime {ort.__version__} could not start its CUDA provider "
                "(its own message is above); install the driver, CUDA and cuDNN of the versions that this "
                "onnxruntime-gpu needs, or set the device to 'cpu'"
            )
        self.inputs = {node.name: node for node in self._session.get_inputs()}
        self.outputs = [node.name for node in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, AnyArray], outputs: Sequence[str] | None = None) -> dict[str, AnyArray]:
        """Run the graph. Returns `outputs` by name, all of them by default."""
        names = list(outputs) if outputs is not None else self.outputs
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))

    def run_bound(self, feeds: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
        """Run the graph, and leave the outputs `kept` where they are computed: on a GPU they are not copied.

        feeds: arrays, and outputs that an earlier run kept. Returns all outputs by name: arrays, and those kept as
        ONNX Runtime's own values, which only a later run of this session can read.
        """
        binding = self._session.io_binding()
        for name, value in feeds.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self.outputs:
            binding.bind_output(name, "cuda" if self.on_cuda and name in kept else "cpu")
        self._session.run_with_iobinding(binding)
        answers = zip(self.outputs, binding.get_outputs(), strict=True)
        return {name: answer if name in kept else answer.numpy() for name, answer in answers}


@dataclass(frozen=True, slots=True)
class _CompactState:
    """The decoder's inputs besides tokens, by name.

    text: `mask`, int64 (texts, words), and keys and values of the words in each layer, `memory.*`, float32 (texts,
    heads, words, head width). past: keys and values of the tokens so far, `past.*`, float32 (texts, beams, heads,
    tokens, head width). position: the number of tokens so far.
    """

    text: Mapping[str, AnyArray]
    past: Mapping[str, FloatArray]
    position: int


class CompactLm:
    """The compact backbone: `LanguageModel` over the attribute dictionary, and the tagger's logits.

    Each value is one token. The beams of a text share the text's keys and values, and each keeps those of its own
    tokens.
    """

    def __init__(self, bundle: Bundle, *, device: Device = "auto", threads: int = 0):
        self._tokenizer = bundle.tokenizer
        self._open: Callable[[str], Session] = lambda name: Session(bundle.path / name, device=device, threads=threads)
        self._encoder, self._decoder = self._open("encoder.onnx"), self._open("decoder.onnx")
        self._memory = [name for name in self._encoder.outputs if name.startswith("memory.")]
        self._states = [name for name in self._encoder.outputs if name.startswith("states.")]
        self._past = {name: node.shape for name, node in self._decoder.inputs.items() if name.startswith("past.")}
        self._types = (
            TypeHeads.load(bundle.path / type_heads.FILE) if type_heads.FILE in bundle.manifest.files else None
        )
        values = len(bundle.dictionary.values)
        self.end = values
        self._opening = {Side.QUERY: values + 1, Side.TITLE: values + 2}

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """See `LanguageModel.start`."""
        ids, mask = pad_ids([item.ids[:MAX_TEXT_TOKENS] for item in self._tokenizer.encode_batch(list(texts))])
        wanted = self._memory if self._types is None else [*self._memory, self._states[-1]]
        memory = self._encoder.run({"ids": ids, "mask": mask}, wanted)
        types = None
        if self._types is not None:
            sentences = pool_sentences(memory.pop(self._states[-1]), mask.astype(np.float32))
            types = self._types.log_probs(sentences, side)
        past = {
            name: np.zeros((len(texts), 1, heads, 0, width), np.float32)
            for name, (_, _, heads, _, width) in self._past.items()
        }
        opening = np.full((len(texts), 1), self._opening[side], dtype=np.int64)
        step = self._step(_CompactState({"mask": mask, **memory}, past, 0), opening)
        return step if types is None else replace(step, types=types)

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """See `LanguageModel.advance`."""
        if not isinstance(state, _CompactState):
            raise TypeError(f"not a state of this model: {type(state).__name__}")
        rows = np.arange(len(parents))[:, None]
        past = {name: part[rows, parents] for name, part in state.past.items()}
        return self._step(_CompactState(state.text, past, state.position), tokens)

    def tag(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """Return the tag head's logits; a `TagFunction`."""
        states = self._encoder.run({"ids": ids, "mask": mask}, self._states)
        return self._tagger.run({"mask": mask, **states})["tags"]

    @cached_property
    def _tagger(self) -> Session:
        """The tagger's graph, opened on first use: codes do not need it."""
        return self._open("tag-encoder.onnx")

    def _step(self, state: _CompactState, tokens: IntArray) -> Step:
        position = np.array([state.position], dtype=np.int64)
        answer = self._decoder.run({"tokens": tokens, "position": position, **state.text, **state.past})
        past = {name: answer[name.replace("past", "present")] for name in state.past}
        return Step(answer["log_probs"], _CompactState(state.text, past, state.position + 1))
