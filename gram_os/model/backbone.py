"""The one place that knows which backbone a bundle holds: opens its graphs, and its generator whole."""

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
    """The bundle's language model on ONNX Runtime; `threads` 0 leaves their number to it."""
    if bundle.manifest.backbone == "causal-lm":
        return CausalLm(bundle, device=device, threads=threads)
    return CompactLm(bundle, device=device, threads=threads)


def open_tokeniser(bundle: Bundle) -> CodeTokeniser:
    """How the bundle's model writes codes."""
    if bundle.manifest.backbone == "causal-lm":
        return TextTokeniser(bundle.tokenizer, bundle.dictionary)
    return ValueTokeniser(bundle.dictionary)


def load_generator(path: Path | None = None, device: Device = "auto", threads: int = 0) -> Generator:
    """The generator of a bundle, the shipped one by default; `threads` 0 takes every core. Raises BundleError as `Bundle.load` does.

    Products are coded in as many batches at once as there are threads: what is Python's in one runs beside the graph of another.
    """
    bundle = Bundle.load(path)
    model, tokeniser = open_model(bundle, device, threads), open_tokeniser(bundle)
    return Generator(bundle, model, tokeniser, workers=threads or _usable_cores())


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
