"""Other ways to decode the same weights: plain torch, Hugging Face `generate`, CTranslate2, onnxruntime-genai.

Each peer is a function of texts that returns a list of codes for each text, as token sequences.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.plain_search import Prefix, plain_beam_search
from gram_os.arrays import AnyArray, FloatArray
from gram_os.errors import GramError
from gram_os.model.bundle import Bundle
from gram_os.model.onnx_lm import MAX_TEXT_TOKENS
from gram_os.model.prompts import PromptEncoder, pad_left
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.encoder import pad

Search = Callable[[Sequence[str], Side], list[list[Prefix]]]

# onnxruntime-genai's model builder imports classes that the project's own transformers (4.57) lacks.
BUILDER_TRANSFORMERS = "transformers==5.23.0"


# --- the compact backbone in torch ---


def read_compact(bundle: Bundle) -> CompactModel:
    """Return the torch model with the weights of a compact int8 bundle, in float32."""
    model = bundle.manifest.model
    shape = CompactShape(**{name: int(size) for name, size in model.items() if name != "pieces"})
    encoder, decoder = (_read_weights(bundle.path / f"{part}.onnx") for part in ("encoder", "decoder"))
    biases = [name for name in encoder if name.startswith("encoder.") and name.endswith("intermediate.dense.bias")]
    config = BertConfig(
        vocab_size=int(model["pieces"]), hidden_size=shape.width, intermediate_size=len(encoder[biases[0]]),
        num_hidden_layers=len(biases), num_attention_heads=shape.width // 32,
        max_position_embeddings=len(encoder["encoder.embeddings.position_embeddings.weight"]),
    )  # fmt: skip
    compact = CompactModel(BertModel(config, add_pooling_layer=False), CompactDecoder(shape))
    state = {**encoder, **decoder}
    state["decoder.tokens.weight"] = state.pop("output.weight")  # one table for both ends of the decoder
    state["decoder.bias"] = state.pop("bias")[: shape.values + 1]  # only the graph has a bias for the side tokens
    compact.load_state_dict({name: state[name] for name in compact.state_dict()})
    return compact.eval()


def _read_weights(file: Path) -> dict[str, Tensor]:
    """Return a graph's weights under the names of `CompactModel`.

    The weight of a matrix product has no name in the graph, so it gets the name of the bias that is added to the
    product.
    """
    graph = onnx.load(file).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    node_of = {name: node for node in graph.node for name in node.output}
    found = {name.removeprefix("model.").replace(".linear.", "."): array for name, array in arrays.items()}
    for name in [name for name in found if name.endswith(".table")]:
        stem = name.removesuffix(".table")
        found[f"{stem}.weight"] = found[name] * found[f"{stem}.scale"]
    for node in graph.node:
        product = next((node_of[n] for n in node.input if n in node_of and node_of[n].op_type == "MatMul"), None)
        bias = next((n for n in node.input if n.endswith("bias")), None)
        if node.op_type == "Add" and product is not None and bias is not None:
            layer = bias.removeprefix("model.").removesuffix("bias").replace(".linear.", ".")
            weight = _matrix(product.input[1], arrays, node_of).T
            found[f"{layer or 'output.'}weight"] = weight * found.get(f"{layer}share", np.float32(1))
    return {name: torch.from_numpy(np.array(array)) for name, array in found.items()}


def _matrix(name: str, arrays: Mapping[str, AnyArray], node_of: Mapping[str, onnx.NodeProto]) -> AnyArray:
    """Return a constant of a graph, (inputs, outputs), in float32. It may be stored in 32, 16 or 8 bits."""
    if name in arrays:
        return arrays[name]
    parts = [arrays[part] for part in node_of[name].input]
    if len(parts) == 1:
        return parts[0].astype(np.float32)
    values, scale, zero = parts
    return np.asarray((values.astype(np.float32) - zero) * scale)


def plain_torch(model: CompactModel, bundle: Bundle, width: int) -> Search:
    """Return a plain beam search: one text after the other. Every step reads all prefixes again, as one batch."""
    shape = model.decoder.shape

    @torch.inference_mode()
    def search(texts: Sequence[str], side: Side) -> list[list[Prefix]]:
        return [[g.tokens for g in search_one(text, side)] for text in texts]

    def search_one(text: str, side: Side) -> list[Any]:
        ids, mask = pad([bundle.tokenizer.encode(text).ids[:MAX_TEXT_TOKENS]])
        memory = model.decoder.memory(model.encode(ids, mask))

        def next_log_probs(prefixes: Sequence[Prefix]) -> FloatArray:
            rows = torch.tensor([[(shape.side_tokens[side is Side.TITLE], *prefix) for prefix in prefixes]])
            logits = model.decoder(rows, memory, mask)[0, :, -1]  # (prefixes, values + 1)
            return cast(FloatArray, logits.log_softmax(-1).numpy())

        return plain_beam_search(next_log_probs, shape.end, bundle.trie, width)

    return search


# --- a causal LM ---


def make_llama(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """Return a Llama with random weights: 6 layers, 256 wide, 7.2M parameters with a vocabulary of 8,192."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=256, intermediate_size=768, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=0, pad_token_id=0, initializer_range=0.1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def save_llama(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> Path:
    """Save the model in Hugging Face's form, for the peers that convert it."""
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="</s>").save_pretrained(folder)
    return folder


def hugging_face(model: LlamaForCausalLM, tokenizer: Tokenizer, trie: CodeTrie, width: int, length: int) -> Search:
    """Return `generate` in float32. `prefix_allowed_tokens_fn` restricts it to the trie, as its documentation shows."""
    prompts = PromptEncoder(tokenizer)
    logging.getLogger("transformers").setLevel(logging.ERROR)

    @torch.inference_mode()
    def search(texts: Sequence[str], side: Side) -> list[list[Prefix]]:
        ids, mask = (torch.from_numpy(part) for part in pad_left(prompts.encode(texts, side)))
        start = ids.shape[1]

        def allowed(_: int, sequence: Tensor) -> list[int]:
            node = trie.find(sequence[start:].tolist())
            tokens = [] if node is None else trie.children(node)[0].tolist()
            return tokens if node is not None and not trie.final[node] else [*tokens, 0]

        found = model.generate(
            ids, attention_mask=mask, num_beams=width, num_return_sequences=width, do_sample=False,
            max_new_tokens=length + 1, length_penalty=0.0, prefix_allowed_tokens_fn=allowed,
        )  # fmt: skip
        rows = [tuple(t for t in row if t) for row in found[:, start:].tolist()]
        return [rows[at : at + width] for at in range(0, len(rows), width)]

    return search


def ctranslate2_int8(source: Path, tokenizer: Tokenizer, folder: Path, width: int, length: int, threads: int) -> Search:
    """Return CTranslate2's beam search in int8. It has no trie, so it generates anything with the codes' length."""
    import ctranslate2

    ctranslate2.converters.TransformersConverter(str(source)).convert(str(folder), quantization="int8")
    generator = ctranslate2.Generator(
        str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1
    )
    prompts = PromptEncoder(tokenizer)

    def search(texts: Sequence[str], side: Side) -> list[list[Prefix]]:
        starts = [[tokenizer.id_to_token(i) for i in ids] for ids in prompts.encode(texts, side)]
        answers = generator.generate_batch(
            starts, beam_size=width, num_hypotheses=width, min_length=length, max_length=length,
            length_penalty=0.0, include_prompt_in_result=False,
        )  # fmt: skip
        return [[tuple(ids) for ids in answer.sequences_ids] for answer in answers]

    return search


def build_genai(source: Path, folder: Path, precision: str) -> Path:
    """Convert a Hugging Face model with onnxruntime-genai's model builder, to `precision` "fp32" or "int8".

    The builder runs in this environment with a newer transformers. Its option `prune_lm_head` makes the head read only
    the last token of a prompt. Without it, the logits of every token of every prompt are computed for every beam. int8
    is in blocks of 256, the fastest of the quantised forms, int4 included. Raises GramError when the builder fails.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise GramError("onnxruntime-genai's model builder needs uv on the PATH (pip install uv)")
    extra = ["prune_lm_head=true", *(["block_size=256"] if precision == "int8" else [])]
    command = [
        uv, "run", "--no-project", "--python", sys.executable, "--with", BUILDER_TRANSFORMERS,
        "python", "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(folder), "-p", precision,
        "-e", "cpu", "-c", str(folder / "cache"), "--extra_options", *extra,
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise GramError(f"onnxruntime-genai's model builder failed:\n{done.stderr[-2000:]}")
    return folder


def onnxruntime_genai(folder: Path, tokenizer: Tokenizer, width: int, length: int, threads: int) -> Search:
    """Return onnxruntime-genai's beam search, without constraints.

    Its grammars cannot constrain a beam search: they keep one state for each text and not one for each beam, and fail.
    A batch is cut into prompts of one length. With padding on the left its beams are wrong. With padding on the right
    they are wrong too where the head reads only the last token. A head that reads every token gives the right beams,
    but is slower than this.
    """
    import onnxruntime_genai as genai

    config = genai.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    model = genai.Model(config)
    prompts = PromptEncoder(tokenizer)

    def search(texts: Sequence[str], side: Side) -> list[list[Prefix]]:
        rows = prompts.encode(texts, side)
        places = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        found: dict[int, list[Prefix]] = {}
        for _, some in groupby(places, key=lambda place: len(rows[place])):
            run = list(some)
            found |= zip(run, search_run([rows[place] for place in run]), strict=True)
        return [found[place] for place in range(len(rows))]

    def search_run(rows: Sequence[Sequence[int]]) -> list[list[Prefix]]:
        start = len(rows[0])
        params = genai.GeneratorParams(model)
        params.set_search_options(
            batch_size=len(rows), num_beams=width, num_return_sequences=width, do_sample=False,
            early_stopping=True, length_penalty=0.0, min_length=start + length, max_length=start + length,
        )  # fmt: skip
        generator = genai.Generator(model, params)
        generator.append_tokens(np.array(rows, np.int32))  # (prompts, tokens)
        while not generator.is_done():
            generator.generate_next_token()
        beams = [tuple(generator.get_sequence(at)[start:].tolist()) for at in range(len(rows) * width)]
        return [beams[at : at + width] for at in range(0, len(beams), width)]

    return search
