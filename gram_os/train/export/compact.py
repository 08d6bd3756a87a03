"""Writes a trained compact model as a bundle: pruned tokenizer, three ONNX graphs (fp32 or int8), tables, manifest.

Also compares the answers of ONNX Runtime with those of torch.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from gram_os.errors import InputError
from gram_os.model import type_heads
from gram_os.model.bundle import Bundle, Manifest, seal, write_tables
from gram_os.model.onnx_lm import MAX_TEXT_TOKENS, CompactLm
from gram_os.model.trie import CodeTrie
from gram_os.reading.type_values import TypeValues
from gram_os.text.attribute import Side
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import NO_TYPES, TypeVocabulary
from gram_os.text.tagger import MAX_TOKENS
from gram_os.train.export.graphs import DECODER_TABLE, decoder_graph, encoder_graph, tagger_graph, write_graph
from gram_os.train.export.int8 import RowQuantisedEmbedding, tie_table, write_int8
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.encoder import pad
from gram_os.train.models.tag_branch import BranchedTagger
from gram_os.train.models.type_heads import TypeHeads

Precision = Literal["fp32", "fp16", "int8"]


def export_compact(
    model: CompactModel,
    tagger: BranchedTagger,
    tokenizer: Tokenizer,
    out: Path,
    manifest: Manifest,
    *,
    texts: Iterable[str],
    dictionary: AttributeDictionary,
    vocabulary: Vocabulary,
    normaliser: Normaliser,
    trie: CodeTrie,
    sample: Mapping[Side, Sequence[str]],
    types: TypeVocabulary = NO_TYPES,
    type_values: TypeValues | None = None,
    heads: TypeHeads | None = None,
    precision: Precision = "int8",
) -> Bundle:
    """Write the bundle to the folder `out`.

    texts: the tokenizer keeps all word pieces that occur in them. sample: texts of both sides; they show int8 how
    large the numbers between the layers become. Raises InputError for fp16, which only a causal LM has.
    """
    if precision == "fp16":
        raise InputError('the compact backbone has no fp16; export it with precision = "int8" or "fp32"')
    out.mkdir(parents=True, exist_ok=True)
    model, tagger = copy.deepcopy(model).eval().float(), copy.deepcopy(tagger).eval().float()
    kept = used_pieces(tokenizer, texts)
    pruned = prune_tokenizer(tokenizer, kept)
    embeddings = model.encoder.embeddings
    words = embeddings.word_embeddings.weight.detach()[torch.tensor(kept)]
    embeddings.word_embeddings = RowQuantisedEmbedding(words) if precision == "int8" else _embedding(words)
    embeddings.position_embeddings = _embedding(embeddings.position_embeddings.weight[:MAX_TOKENS].detach())
    pruned.save(str(out / "tokenizer.json"), pretty=False)
    ids = [(row.ids, side) for side, some in sample.items() for row in pruned.encode_batch(list(some))]
    graphs = {  # all are made before the first is written: writing one changes the layers that it quantises
        "encoder.onnx": encoder_graph(model, ids),
        "tag-encoder.onnx": tagger_graph(model, tagger, ids),
        "decoder.onnx": decoder_graph(model, ids[::3]),
    }
    for name, graph in graphs.items():
        if precision == "int8":
            write_int8(graph, out / name)
        else:
            write_graph(graph, out / name)
    if precision == "int8":
        tie_table(out / "decoder.onnx", DECODER_TABLE)
    write_tables(
        out, dictionary=dictionary, vocabulary=vocabulary, normaliser=normaliser, trie=trie, types=types,
        type_values=type_values,
    )  # fmt: skip
    if heads is not None:
        heads.to_numpy().save(out / type_heads.FILE)
    shape = {**model.decoder.shape.as_dict(), "pieces": len(kept)}
    return seal(out, manifest.model_copy(update={"backbone": "compact", "precision": precision, "model": shape}))


def _embedding(weight: Tensor) -> nn.Embedding:
    return nn.Embedding.from_pretrained(weight)  # type: ignore[no-untyped-call,no-any-return]


def used_pieces(tokenizer: Tokenizer, texts: Iterable[str], *, common: int = 5000) -> list[int]:
    """Choose the word pieces to keep, ascending.

    These are the special pieces, the pieces of at most two characters, all pieces of the texts, and the first
    `common` whole words of the table, which is sorted by their frequency in English.
    """
    table = tokenizer.get_vocab()
    used = {i for item in tokenizer.encode_batch(list(texts)) for i in item.ids}
    ordered = sorted(table.items(), key=lambda item: item[1])
    whole = [i for piece, i in ordered if piece.isascii() and piece.isalpha() and len(piece) > 1]
    used.update(whole[:common])
    for piece, i in ordered:
        bare = piece.removeprefix("##")
        if piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") or (len(bare) <= 2 and bare.isascii()):
            used.add(i)
    return sorted(used)


def prune_tokenizer(tokenizer: Tokenizer, kept: list[int]) -> Tokenizer:
    """Return the word-piece tokenizer with only the kept pieces, renumbered in their order."""
    content = json.loads(tokenizer.to_str())
    renumber = {old: new for new, old in enumerate(kept)}
    content["model"]["vocab"] = {p: renumber[i] for p, i in content["model"]["vocab"].items() if i in renumber}
    for added in content["added_tokens"]:
        added["id"] = renumber[added["id"]]
    for special in content["post_processor"].get("special_tokens", {}).values():
        special["ids"] = [renumber[i] for i in special["ids"]]
    content["padding"] = content["truncation"] = None
    return Tokenizer.from_str(json.dumps(content))


def compare_with_torch(model: CompactModel, bundle: Bundle, tokenizer: Tokenizer, texts: list[str]) -> float:
    """Return the largest difference of a first-token log-probability between torch and the bundle's graphs."""
    ids, mask = pad([item.ids[:MAX_TEXT_TOKENS] for item in tokenizer.encode_batch(texts)])
    opening = torch.full((len(texts), 1, 1), model.decoder.shape.side_tokens[0])
    with torch.inference_mode():
        expected = functional.log_softmax(model(ids, mask, opening)[:, 0, 0], -1).numpy()
    found = CompactLm(bundle, device="cpu").start(texts, Side.QUERY).log_probs[:, 0]
    return float(np.abs(found[:, : expected.shape[1]] - expected).max())
