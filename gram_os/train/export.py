"""A trained compact model as a bundle: pruned tokenizer, two ONNX graphs at fp32 or int8, tables, manifest.

Reads torch, writes files; checks that ONNX Runtime answers what torch answers.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from gram_os.bundle import Bundle, Manifest, seal, write_tables
from gram_os.dictionary import AttributeDictionary, Vocabulary
from gram_os.normalise import Normaliser
from gram_os.train.compact import CompactDecoder, CompactModel
from gram_os.train.tag_branch import BranchedTagger, stack_states
from gram_os.trie import CodeTrie

Precision = Literal["fp32", "int8"]


class RowQuantisedEmbedding(nn.Module):
    """An embedding table in int8 with one scale a row.

    A quarter of the size; errors stay below half a percent of a row's largest entry.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("table", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """int64 (...) -> float32 (..., width)."""
        table, scale = self.get_buffer("table"), self.get_buffer("scale")
        return functional.embedding(ids, table).float() * functional.embedding(ids, scale)


class _EncoderGraph(nn.Module):
    """ids, mask -> the decoder's memory and the tag logits; who asks for one of them does not pay for the other."""

    def __init__(self, model: CompactModel, tagger: BranchedTagger):
        super().__init__()
        self.model, self.branch, self.tag_head = model, tagger.encoder, tagger.head

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = stack_states(self.model.encoder, ids, mask)
        return self.model.decoder.memory(states[:, :, -1]), self.tag_head(self.branch(states, mask))


class _DecoderGraph(nn.Module):
    """tokens, position, memory, mask, past -> log-probabilities after these tokens, and the past with them."""

    def __init__(self, decoder: CompactDecoder):
        super().__init__()
        self.decoder = decoder

    def forward(
        self, tokens: Tensor, position: Tensor, memory: Tensor, mask: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits, present = self.decoder.step(tokens, position, memory, mask, past)
        return functional.log_softmax(logits, -1), present


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
    precision: Precision = "int8",
) -> Bundle:
    """Write the bundle to the folder `out`; `texts` say which word pieces the tokenizer must keep."""
    out.mkdir(parents=True, exist_ok=True)
    model, tagger = copy.deepcopy(model).eval().float(), copy.deepcopy(tagger).eval().float()
    kept = used_pieces(tokenizer, texts)
    pruned = prune_tokenizer(tokenizer, kept)
    words = model.encoder.embeddings.word_embeddings
    weight = words.weight.detach()[torch.tensor(kept)]
    model.encoder.embeddings.word_embeddings = (
        RowQuantisedEmbedding(weight) if precision == "int8" else nn.Embedding.from_pretrained(weight)  # type: ignore[no-untyped-call]
    )
    if precision == "int8":
        model.decoder.input = RowQuantisedEmbedding(model.decoder.tokens.weight.detach())
    pruned.save(str(out / "tokenizer.json"), pretty=False)
    _export_graphs(model, tagger, out, precision)
    write_tables(out, dictionary=dictionary, vocabulary=vocabulary, normaliser=normaliser, trie=trie)
    shape = {**model.decoder.shape.as_dict(), "pieces": len(kept)}
    return seal(
        out, manifest.model_copy(update={"backbone": "compact", "precision": precision, "model": shape})
    )


def used_pieces(tokenizer: Tokenizer, texts: Iterable[str], *, common: int = 9000) -> list[int]:
    """Choose the word pieces to keep, ascending.

    The special ones, short ones, whatever the texts use, and the first `common` whole words of the table, which is sorted
    by frequency in English.
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
    """The same word-piece tokenizer over the kept pieces, renumbered in their order."""
    content = json.loads(tokenizer.to_str())
    renumber = {old: new for new, old in enumerate(kept)}
    content["model"]["vocab"] = {
        p: renumber[i] for p, i in content["model"]["vocab"].items() if i in renumber
    }
    for added in content["added_tokens"]:
        added["id"] = renumber[added["id"]]
    for special in content["post_processor"].get("special_tokens", {}).values():
        special["ids"] = [renumber[i] for i in special["ids"]]
    content["padding"] = content["truncation"] = None
    return Tokenizer.from_str(json.dumps(content))


def _export_graphs(model: CompactModel, tagger: BranchedTagger, out: Path, precision: Precision) -> None:
    ids, mask = torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)
    decoder = model.decoder
    with torch.inference_mode():
        memory = decoder.memory(model.encode(ids, mask))
    shape = decoder.shape
    tokens = torch.full((2, 3), shape.end)
    past = torch.zeros(shape.layers, 2, 2, 3, shape.heads, 1, shape.width // shape.heads)
    grid = {2: "texts", 3: "beams", 5: "before"}
    with tempfile.TemporaryDirectory() as folder:
        _export(
            _EncoderGraph(model, tagger), (ids, mask), Path(folder) / "encoder.onnx", ["memory", "tags"],
            {"ids": {0: "texts", 1: "words"}, "mask": {0: "texts", 1: "words"},
             "memory": {2: "texts", 4: "words"}, "tags": {0: "texts", 1: "words"}},
        )  # fmt: skip
        _export(
            _DecoderGraph(decoder), (tokens, torch.tensor([1]), memory, mask, past), Path(folder) / "decoder.onnx",
            ["log_probs", "present"],
            {"tokens": {0: "texts", 1: "beams"}, "position": {}, "memory": {2: "texts", 4: "words"},
             "mask": {0: "texts", 1: "words"}, "past": grid, "log_probs": {0: "texts", 1: "beams"},
             "present": {**grid, 5: "after"}},
        )  # fmt: skip
        for name in ("encoder.onnx", "decoder.onnx"):
            if precision == "int8":
                quantise(Path(folder) / name, out / name)
            else:
                (out / name).write_bytes((Path(folder) / name).read_bytes())


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], path: Path, outputs: list[str], axes: Mapping[str, Any]
) -> None:
    """TorchScript export: its graphs are the ones that ONNX Runtime's quantiser and fusions know best."""
    names = [name for name in axes if name not in outputs]
    with torch.inference_mode():
        torch.onnx.export(
            module.eval(), inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=axes,
            opset_version=17, do_constant_folding=True, dynamo=False,
        )  # fmt: skip


def quantise(source: Path, target: Path) -> None:
    """Weights of the matrix products as int8, one scale a column; activations are scaled as they come."""
    quantize_dynamic(
        source, target, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip


def compare_with_torch(model: CompactModel, bundle: Bundle, tokenizer: Tokenizer, texts: list[str]) -> float:
    """The largest difference of a first-token log-probability between the torch model and the bundle's graphs."""
    from gram_os.attribute import Side
    from gram_os.onnx_lm import MAX_TEXT_TOKENS, CompactLm
    from gram_os.train.encoder import pad

    ids, mask = pad([item.ids[:MAX_TEXT_TOKENS] for item in tokenizer.encode_batch(texts)])
    opening = torch.full((len(texts), 1, 1), model.decoder.shape.side_tokens[0])
    with torch.inference_mode():
        expected = functional.log_softmax(model(ids, mask, opening)[:, 0, 0], -1).numpy()
    found = CompactLm(bundle, device="cpu").start(texts, Side.QUERY).log_probs[:, 0]
    return float(np.abs(found - expected).max())
