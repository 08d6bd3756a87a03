"""A compact model of random weights over eight values, and texts and codes for it."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import BertConfig, BertModel

from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape

WORDS = {"[UNK]": 0, "red": 1, "toner": 2, "drum": 3, "laser": 4}
TEXTS = ("red toner", "drum", "laser toner for a red drum")
IDS = [[1, 2], [3], [4, 2, 0, 0, 1, 3]]
MOST = {Side.QUERY: 32, Side.TITLE: 64}
CODES = [(3,), (5, 6), (0, 2, 4, 7)]
SHAPE = CompactShape(values=8, width=24, heads=2, layers=2, feed_forward=48)


def make_model() -> CompactModel:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=40, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48)
    decoder = CompactDecoder(SHAPE)
    decoder.initialise(nn.functional.normalize(torch.randn(8, 24), dim=1))
    return CompactModel(BertModel(config, add_pooling_layer=False), decoder).eval()


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer
