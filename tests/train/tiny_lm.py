"""A tiny random causal LM with a tokenizer of its own, made in a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from gram_os.train.models.causal import CausalSource

KINDS: Mapping[str, tuple[Any, Any, bool]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, False),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, True),  # with biases, and the output layer tied to the input's
}


def make_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Byte pairs, 320 of them, learned from the texts; token 0 closes a code."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(list(texts), trainer)
    return made


def make_source(kind: str, tokenizer: Tokenizer) -> CausalSource:
    """A random model of one of the `KINDS`, always the same."""
    torch.manual_seed(7)
    config, model, tied = KINDS[kind]
    made = model(
        config(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=tied,
            initializer_range=0.2, eos_token_id=0, bos_token_id=None, pad_token_id=0,
        )
    )  # fmt: skip
    return CausalSource(made.eval(), tokenizer, 0)


def save_source(source: CausalSource, folder: Path) -> None:
    """Write a folder that `load_causal` reads."""
    source.model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=source.tokenizer, eos_token="</s>").save_pretrained(folder)
