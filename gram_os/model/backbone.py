"""Open a bundle: its language model, the way that model writes codes, or both as a generator.

This is the only module that knows which backbone a bundle holds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from gram_os.errors import BundleError
from gram_os.model.bundle import MANIFEST, Bundle
from gram_os.model.causal_lm import CausalLm
from gram_os.model.code_tokens import CodeTokeniser, TextTokeniser, ValueTokeniser
from gram_os.model.decode import LanguageModel
from gram_os.model.generator import Generator
from gram_os.model.onnx_lm import CompactLm, Device

log = logging.getLogger(__name__)


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


class GeneratorFolder:
    """The generators of the bundles in a folder, of the shipped bundle and of others that are named. Each opens once.

    folder: its folders are bundles; it is looked through whenever an id is not known, so a bundle can be added while
    the process runs. named: bundles that need not be in it.

    >>> folder = GeneratorFolder(threads=1)
    >>> folder.open("no such id") is None
    True
    >>> shipped = Bundle.load()
    >>> folder.open(shipped.id).bundle.id == shipped.id
    True
    """

    def __init__(
        self,
        folder: Path | None = None,
        named: Sequence[Path | None] = (None,),
        *,
        device: Device = "auto",
        threads: int = 0,
    ):
        self._folder, self._named, self._device, self._threads = folder, tuple(named), device, threads
        self._paths: dict[str, Path | None] = {}
        self._generators: dict[str, Generator] = {}
        self._lock = Lock()

    def open(self, bundle_id: str) -> Generator | None:
        """Return the generator of a bundle, None when it is not here. A damaged bundle is logged and left out."""
        with self._lock:
            if bundle_id not in self._paths:
                self._look()
            if bundle_id not in self._paths:
                return None
            if bundle_id not in self._generators:
                path = self._paths[bundle_id]
                self._generators[bundle_id] = load_generator(path, self._device, self._threads)
            return self._generators[bundle_id]

    def _look(self) -> None:
        found = sorted(self._folder.iterdir()) if self._folder is not None and self._folder.is_dir() else []
        for path in (*self._named, *(path for path in found if (path / MANIFEST).is_file())):
            if path not in self._paths.values():
                try:
                    self._paths[Bundle.load(path).id] = path
                except BundleError as error:
                    log.warning("%s", error)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
