"""A compact model in training as the beam search sees it: steps with a cache against whole prefixes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from gram_os.model.decode import score_sequences
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.encoder import pad
from gram_os.train.models.torch_lm import TorchLanguageModel
from tests.train.tiny_compact import CODES, IDS, MOST, SHAPE, TEXTS, make_model, make_tokenizer


@pytest.fixture
def model() -> CompactModel:
    return make_model()


@pytest.fixture
def tokenizer() -> Tokenizer:
    return make_tokenizer()


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
