"""Writes a trained causal LM as a bundle: one ONNX graph that reads trees of tokens, tables, manifest."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from gram_os.model.bundle import Bundle, Manifest, seal, write_tables
from gram_os.model.causal_lm import GRAPH, CausalLm
from gram_os.model.prompts import PROMPTS_VERSION, PromptEncoder
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.train.export.causal_graph import export_tree_graph
from gram_os.train.export.compact import Precision
from gram_os.train.export.int8 import quantise
from gram_os.train.models.causal import CausalSource, next_logits


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
    """Write the bundle to the folder `out`; trie: the codes that may be generated, in the LM's tokens.

    Raises InputError when the model is not of the Llama family.
    """
    out.mkdir(parents=True, exist_ok=True)
    source.tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    write_tables(out, dictionary=dictionary, vocabulary=vocabulary, normaliser=normaliser, trie=trie)
    with tempfile.TemporaryDirectory() as folder:
        export_tree_graph(source.model, Path(folder) / GRAPH)
        if precision == "int8":
            quantise(Path(folder) / GRAPH, out / GRAPH)
        else:  # weights above 2 GB are in a file beside the graph
            for file in Path(folder).glob(f"{GRAPH}*"):
                shutil.copyfile(file, out / file.name)
    model = {"prompts": PROMPTS_VERSION, "end": source.end, "architecture": source.model.config.model_type}
    return seal(out, manifest.model_copy(update={"backbone": "causal-lm", "precision": precision, "model": model}))


def compare_with_torch(source: CausalSource, bundle: Bundle, texts: Sequence[str]) -> float:
    """Return the largest difference of a first-token log-probability between the torch model and the bundle's graph."""
    rows = PromptEncoder(source.tokenizer).encode(texts, Side.QUERY)
    with torch.inference_mode():
        expected = functional.log_softmax(next_logits(source.model, rows, 1)[:, 0].float(), -1).numpy()
    found = CausalLm(bundle, device="cpu").start(texts, Side.QUERY).log_probs[:, 0]
    return float(np.abs(found - expected).max())
