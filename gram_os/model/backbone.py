"""Open a bundle: its language model, the way that model writes codes, or both as a generator.

This is the only module that knows which backbone a bundle holds.
"""

from __future__ import annotations

import os
from pathlib import Path

from gram_os.model.bundle import Bundle
from gram_os.model.causal_lm import CausalLm
from gram_os.model.code_tokens import CodeTokeniser, TextTokeniser, ValueTokeniser
from gram_os.model.decode import LanguageModel
from gram_os.model.generator import Generator
from gram_os.model.onnx_lm import CompactLm, Device


def open_model(bundle: Bundle, device: Device = "auto", threads: int = 0) -> LanguageModel:
    """Open the bundle's language model on ONNX Runtime. `threads` 0 lets ONNX Runtime choose their number."""
    if bundle.manifest.backbone == "causal-lm":
        return CausalLm(bundle, device=device, threads=threads)
    return CompactLm(bundle, device=device, threads=threads)


def open_tokeniser(bundle: Bundle) -> CodeTokeniser:
    """Return how the bundle's model writes codes."""
    if bundle.manifest.backbone == "causal-lm":
        return TextTokeniser(bundle.tokenizer, bundle.dictionary)
    return ValueTokeniser(bundle.dictionary)


def load_generator(path: Path | None = None, device: Device = "auto", threads: int = 0) -> Generator:
    """Load the generator of a bundle.

    path: the bundle's folder, the shipped bundle by default. device: where the graphs run; auto takes CUDA where ONNX
    Runtime offers it, else the CPU. threads: CPU threads, 0 for one a core. The stream of products is coded in that
    many batches at once, so that the Python code of one batch runs while another is in the graph.

    Raises BundleError when the folder is no bundle, damaged or of another format, MissingExtraError without ONNX
    Runtime, and GramError when the device is not there.

    >>> generator = load_generator(threads=1)
    >>> generator.bundle.manifest.backbone
    'compact'
    """
    bundle = Bundle.load(path)
    model, tokeniser = open_model(bundle, device, threads), open_tokeniser(bundle)
    return Generator(bundle, model, tokeniser, workers=threads or _usable_cores())


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
