"""A compact model in training as the beam search sees it: steps with a cache against whole prefixes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import BertConfig, BertModel

from gram_os.model.decode import score_sequences
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.encoder import pad
from gram_os.train.models.torch_lm import TorchLanguageModel

WORDS = {"[UNK]": 0, "red": 1, "toner": 2, "drum": 3, "laser": 4}
TEXTS = ("red toner", "drum", "laser toner for a red drum")
IDS = [[1, 2], [3], [4, 2, 0, 0, 1, 3]]
MOST = {Side.QUERY: 32, Side.TITLE: 64}
CODES = [(3,), (5, 6), (0, 2, 4, 7)]
SHAPE = CompactShape(values=8, width=24, heads=2, layers=2, feed_forward=48)


@pytest.fixture
def model() -> CompactModel:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=40, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48)
    decoder = CompactDecoder(SHAPE)
    decoder.initialise(nn.functional.normalize(torch.randn(8, 24), dim=1))
    return CompactModel(BertModel(config, add_pooling_layer=False), decoder).eval()


@pytest.fixture
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def _whole(model: CompactModel, ids: list[int], side: Side, code: tuple[int, ...]) -> list[float]:
    """ln P of each token of a code, from the whole prefix of one text without padding."""
    prefix = torch.tensor([[[SHAPE.side_tokens[side is Side.TITLE], *code[:-1]]]])
    with torch.inference_mode():
        scores = model(*pad([ids]), prefix)[0, 0].log_softmax(-1)
    return [float(scores[at, token]) for at, token in enumerate(code)]


@pytest.mark.parametrize(("bfloat16", "near"), [(False, 1e-5), (True, 0.05)])
def test_steps_with_cache_equal_whole_prefixes(
    model: CompactModel, tokenizer: Tokenizer, bfloat16: bool, near: float
) -> None:
    adapter = TorchLanguageModel(model, tokenizer, MOST, bfloat16=bfloat16)
    assert adapter.end == 8
    for side in Side:
        first = adapter.start(TEXTS, side)
        assert first.log_probs.shape == (3, 1, 9)
        assert first.log_probs.dtype == np.float32
        found = score_sequences(adapter, first, [CODES] * 3)
        for ids, row in zip(IDS, found, strict=True):
            for code, log_probs in zip(CODES, row, strict=True):
                np.testing.assert_allclose(log_probs, _whole(model, ids, side, code), atol=near)


def test_texts_are_cut_to_their_sides_length(model: CompactModel, tokenizer: Tokenizer) -> None:
    adapter = TorchLanguageModel(model, tokenizer, {Side.QUERY: 1, Side.TITLE: 2})
    for side, cut in ((Side.QUERY, "red"), (Side.TITLE, "red toner")):
        whole, part = (adapter.start([text], side).log_probs for text in ("red toner drum", cut))
        np.testing.assert_array_equal(whole, part)
