"""Writes a trained causal LM as a bundle: one ONNX graph that reads trees of tokens, tables, manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from gram_os.model.bundle import Bundle, Manifest, seal, write_tables
from gram_os.model.causal_lm import GRAPH, CausalLm
from gram_os.model.decode import beam_search
from gram_os.model.prompts import PROMPTS_VERSION, PromptEncoder
from gram_os.model.trie import CodeTrie
from gram_os.reading.type_values import TypeValues
from gram_os.text.attribute import Side
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import NO_TYPES, TypeVocabulary
from gram_os.train.export.causal_fp16 import halve
from gram_os.train.export.causal_graph import tree_graph
from gram_os.train.export.causal_int8 import quantise_rows
from gram_os.train.export.compact import Precision
from gram_os.train.export.graphs import write_graph
from gram_os.train.models.causal import CausalSource, next_logits
from gram_os.train.models.torch_causal_lm import TorchCausalLm

_BATCH = 16  # texts of the sample that are read together
_CHECKED = 8  # texts of a side that are read in fp16 before it is written


def export_causal(
    source: CausalSource,
    out: Path,
    manifest: Manifest,
    *,
    dictionary: AttributeDictionary,
    vocabulary: Vocabulary,
    normaliser: Normaliser,
    trie: CodeTrie,
    sample: Mapping[Side, Sequence[str]],
    types: TypeVocabulary = NO_TYPES,
    type_values: TypeValues | None = None,
    precision: Precision = "int8",
) -> Bundle:
    """Write the bundle to the folder `out`.

    trie: the codes that may be generated, in the LM's tokens. sample: texts of both sides; they show int8 which numbers
    between the layers are large, and fp16 whether they are too large. types: the catalogue's product types. A causal LM
    has no type heads, so only the names in a text tell its types. Raises InputError when the model is not of the
    Llama family, and for fp16 as `halve` does.
    """
    out.mkdir(parents=True, exist_ok=True)
    source.tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    write_tables(
        out, dictionary=dictionary, vocabulary=vocabulary, normaliser=normaliser, trie=trie, types=types,
        type_values=type_values,
    )  # fmt: skip
    texts = _read_sample(source, trie, sample) if precision == "int8" else []
    graph = tree_graph(source.model, texts)
    if precision == "int8":
        quantise_rows(graph)
    elif precision == "fp16":
        prompts = PromptEncoder(source.tokenizer)
        graph = halve(graph, [ids for side, some in sample.items() for ids in prompts.encode(some[:_CHECKED], side)])
    write_graph(graph, out / GRAPH)  # weights above 2 GB are in files beside the graph
    model = {"prompts": PROMPTS_VERSION, "end": source.end, "architecture": source.model.config.model_type}
    return seal(out, manifest.model_copy(update={"backbone": "causal-lm", "precision": precision, "model": model}))


def _read_sample(source: CausalSource, trie: CodeTrie, sample: Mapping[Side, Sequence[str]]) -> list[list[int]]:
    """Return the prompt of each text with its likeliest code, as serving reads it."""
    lm, prompts = TorchCausalLm(source), PromptEncoder(source.tokenizer)
    found = []
    for side, texts in sample.items():
        for at in range(0, len(texts), _BATCH):
            rows = prompts.encode(texts[at : at + _BATCH], side)
            codes = beam_search(lm, trie, lm.read(rows), width=1)
            found += [[*row, *(of[0].tokens if of else ())] for row, of in zip(rows, codes, strict=True)]
    return found


def compare_with_torch(source: CausalSource, bundle: Bundle, texts: Sequence[str]) -> float:
    """Return the largest difference of a first-token log-probability between the torch model and the bundle's graph."""
    rows = PromptEncoder(source.tokenizer).encode(texts, Side.QUERY)
    with torch.inference_mode():
        expected = functional.log_softmax(next_logits(source.model, rows, 1)[:, 0].float(), -1).numpy()
    found = CausalLm(bundle, device="cpu").start(texts, Side.QUERY).log_probs[:, 0]
    return float(np.abs(found - expected).max())
