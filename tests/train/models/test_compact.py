"""The compact model in training: padding leaves no trace; log-probabilities equal one decoder step at a time."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import BertConfig, BertModel

from gram_os.model.decode import score_sequences
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.likelihood import CodeModel
from gram_os.train.models.torch_lm import TorchLanguageModel
from tests.train.tiny_compact import CODES, IDS, MOST, TEXTS, make_model, make_tokenizer


@pytest.fixture
def model() -> CompactModel:
    return make_model()


@pytest.fixture
def tokenizer() -> Tokenizer:
    return make_tokenizer()


def test_padding_leaves_no_trace() -> None:
    torch.manual_seed(2)
    shape = CompactShape(values=11, width=12, heads=3, layers=2, feed_forward=20)
    decoder = CompactDecoder(shape)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.4)
    config = BertConfig(vocab_size=30, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=24)
    model = CompactModel(BertModel(config, add_pooling_layer=False), decoder).eval()
    ids, mask = torch.tensor([[4, 9, 2, 7]]), torch.ones(1, 4, dtype=torch.int64)
    padded = torch.tensor([[4, 9, 2, 7, 0, 0]])
    padded_mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    prefixes = torch.tensor([[[shape.side_tokens[0], 3], [shape.side_tokens[0], 5]]])
    with torch.inference_mode():
        torch.testing.assert_close(
            model(ids, mask, prefixes), model(padded, padded_mask, prefixes), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("side", Side)
def test_log_probs_of_wanted_codes_equal_one_step_at_a_time(
    model: CompactModel, tokenizer: Tokenizer, side: Side
) -> None:
    assert isinstance(model, CodeModel)
    wanted = torch.tensor([[True, True, True], [False, False, True], [True, False, False]])
    found = model.log_probs(IDS, side, CODES, wanted)
    expected = torch.zeros(3, 3, 4)
    adapter = TorchLanguageModel(model, tokenizer, MOST)
    for text, code in wanted.nonzero().tolist():
        first = adapter.start([TEXTS[text]], side)
        ((scores,),) = score_sequences(adapter, first, [[CODES[code]]])
        expected[text, code, : len(scores)] = torch.tensor(scores)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_log_probs_without_longer_codes_and_with_none_of_them_wanted(model: CompactModel) -> None:
    single = model.log_probs(IDS, Side.QUERY, CODES[:1], torch.ones(3, 1, dtype=torch.bool))
    assert single.shape == (3, 1, 1)
    wanted = torch.tensor([[True, False, False]] * 3)
    found = model.log_probs(IDS, Side.QUERY, CODES, wanted)
    torch.testing.assert_close(found[:, 0, :1], single[:, 0])
    assert not found[:, 1:].any()
    assert not found[:, :, 1:].any()


def test_log_probs_have_the_slope_of_what_they_say(model: CompactModel) -> None:
    """A step along the gradient changes the sum by step x squared length."""
    wanted = torch.tensor([[True, False, True]] * 3)
    bias = model.decoder.bias
    total = model.log_probs(IDS, Side.TITLE, CODES, wanted).sum()
    slope, reader = torch.autograd.grad(total, [bias, model.encoder.embeddings.word_embeddings.weight])
    assert reader[1].any()
    with torch.no_grad():
        bias.add_(1e-3 * slope)
        gained = model.log_probs(IDS, Side.TITLE, CODES, wanted).sum() - total
    assert float(gained) == pytest.approx(1e-3 * float(slope.square().sum()), rel=0.05)
