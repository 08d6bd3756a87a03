"""The bundle's tagger: it starts as the last layers of the whole one, and trains beside an encoder that stays."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from gram_os.text.attribute import Side
from gram_os.text.tagger import Words
from gram_os.train.models.encoder import pad
from gram_os.train.models.tag_branch import BranchedTagger, read_states, train_branch
from gram_os.train.models.tagger import TagExample, TagHead, TagModel, TagRecipe, train_tagger

TEXTS = [(1, 5, 6, 2), (1, 7, 2), (1, 8, 5, 9, 2), (1, 6, 7, 2)]
RECIPE = TagRecipe(epochs=30, query_batch=2, title_batch=2, learning_rate=5e-3, head_learning_rate=1e-2, average=0.5)


def _encoder(seed: int) -> BertModel:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=12, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=16,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False).eval()


def _tagger(encoder: BertModel) -> TagModel:
    return TagModel(encoder, TagHead(32)).eval()


def _examples() -> list[TagExample]:
    """Every word has the label of its token's number, on both sides."""
    return [
        TagExample(
            Words(tuple((n, n + 1) for n in range(len(ids) - 2)), ids, tuple(range(1, len(ids) - 1))),
            tuple(token % 5 for token in ids[1:-1]),
            side,
        )
        for side in Side
        for ids in TEXTS
    ]


def test_over_its_own_encoder_a_branch_begins_as_the_whole_tagger() -> None:
    whole = _tagger(_encoder(0))
    branched = BranchedTagger(whole, read_states(whole.encoder)).eval()
    ids, mask = pad(TEXTS)
    with torch.inference_mode():
        expected, found = whole.head(whole.encode(ids, mask)), branched.head(branched.encode(ids, mask))
    torch.testing.assert_close(found[mask == 1], expected[mask == 1])


def test_it_learns_over_another_encoder_which_stays_as_it_is() -> None:
    encoder, examples = _encoder(1), _examples()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = BranchedTagger(_tagger(_encoder(0)), read_states(encoder))
    losses = list(train_branch(model, examples, RECIPE))
    assert losses[-1] < 0.1 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not any(name.startswith("read") for name in model.state_dict())


def test_what_was_read_is_remembered_and_the_same() -> None:
    """Each text goes through the encoder once; what is learned is what reading it anew every time teaches."""
    encoder, examples = _encoder(1), _examples()
    read, texts = read_states(encoder), 0

    def counted(ids: Tensor, mask: Tensor) -> Tensor:
        nonlocal texts
        texts += len(ids)
        return read(ids, mask)

    recipe = TagRecipe(epochs=2, query_batch=2, title_batch=2)
    remembering = BranchedTagger(_tagger(_encoder(0)), counted)
    list(train_branch(remembering, examples, recipe))
    assert texts <= 2 * len(TEXTS)  # a text read on both sides is known the second time, unless its batch brings news
    plain = BranchedTagger(_tagger(_encoder(0)), read)
    list(train_tagger(plain, examples, recipe))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(remembering.state_dict()[name], value, atol=2e-3, rtol=0.02)
