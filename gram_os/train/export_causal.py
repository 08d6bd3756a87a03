"""A trained causal LM as a bundle: one ONNX graph with KV cache through optimum, at fp32 or int8, tables, manifest.

Two changes to what optimum exports by itself: only the last token's scores are computed, and they leave the graph as
log-probabilities in float32.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from gram_os.attribute import Side
from gram_os.bundle import Bundle, Manifest, seal, write_tables
from gram_os.causal_lm import GRAPH, CausalLm
from gram_os.dictionary import AttributeDictionary, Vocabulary
from gram_os.errors import InputError, MissingExtraError
from gram_os.normalise import Normaliser
from gram_os.prompts import PROMPTS_VERSION, PromptEncoder
from gram_os.train.causal import CausalSource, next_logits
from gram_os.train.export import Precision, quantise
from gram_os.trie import CodeTrie


class _LogProbabilities(nn.Module):
    """The output layer for the last token alone, normalised: (rows, tokens, width) -> (rows, 1, vocabulary)."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.log_softmax(self.head(hidden[:, -1:]).float(), -1)


def export_causal(
    source: CausalSource,
    out: Path,
    manifest: Manifest,
    *,
    dictionary: AttributeDictionary,
    vocabulary: Vocabulary,
    normaliser: Normaliser,
    trie: CodeTrie,
    precision: Precision = "int8",
) -> Bundle:
    """Write the bundle to the folder `out`; `trie` holds the codes that may be generated, in the LM's tokens.

    Raises InputError when optimum cannot export the model's architecture.
    """
    out.mkdir(parents=True, exist_ok=True)
    source.tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    write_tables(out, dictionary=dictionary, vocabulary=vocabulary, normaliser=normaliser, trie=trie)
    with tempfile.TemporaryDirectory() as folder:
        _export_graph(source.model, Path(folder), tied=precision == "fp32")
        if precision == "int8":
            quantise(Path(folder) / GRAPH, out / GRAPH)
        else:  # weights above 2 GB lie beside the graph
            for file in Path(folder).glob(f"{GRAPH}*"):
                shutil.copyfile(file, out / file.name)
    model = {"prompts": PROMPTS_VERSION, "end": source.end, "architecture": source.model.config.model_type}
    return seal(
        out, manifest.model_copy(update={"backbone": "causal-lm", "precision": precision, "model": model})
    )


def _export_graph(model: Any, folder: Path, *, tied: bool) -> None:
    """`tied`: an output layer that is the input's table stands in the graph once, which keeps the quantiser off it."""
    try:
        from optimum.exporters.onnx import onnx_export_from_model
    except ImportError as error:  # missing, or transformers is newer than it reads
        raise MissingExtraError(
            f"optimum-onnx with a transformers that it reads (found {transformers.__version__}: {error})",
            "train",
        ) from error
    with _log_probabilities(model), torch.no_grad():
        try:
            onnx_export_from_model(
                model.eval(),
                folder,
                task="text-generation-with-past",
                do_validation=False,
                no_post_process=not tied,
            )
        except (ValueError, NotImplementedError, KeyError) as error:
            raise InputError(
                f"a causal LM of type '{model.config.model_type}' cannot be exported to ONNX: {error}; choose another one"
            ) from error


@contextmanager
def _log_probabilities(model: Any) -> Iterator[None]:
    head = model.get_output_embeddings()
    model.set_output_embeddings(_LogProbabilities(head))
    try:
        yield
    finally:
        model.set_output_embeddings(head)


def compare_with_torch(source: CausalSource, bundle: Bundle, texts: Sequence[str]) -> float:
    """The largest difference of a first-token log-probability between the torch model and the bundle's graph."""
    rows = PromptEncoder(source.tokenizer).encode(texts, Side.QUERY)
    with torch.inference_mode():
        expected = functional.log_softmax(next_logits(source.model, rows, 1)[:, 0].float(), -1).numpy()
    found = CausalLm(bundle, device="cpu").start(texts, Side.QUERY).log_probs[:, 0]
    return float(np.abs(found - expected).max())
