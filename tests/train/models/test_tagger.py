"""Stage 1 on a tiny random encoder: labels reach the right tokens, the loss falls, eight texts are learned by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from gram_os.text.attribute import SIDE_LABELS, Side, head_columns
from gram_os.train.models.annotation import MarkedText, mark_tokens, mark_values, score_tagger
from gram_os.train.models.tagger import (
    IGNORED,
    TagHead,
    TagModel,
    TagRecipe,
    encode_marked,
    make_batches,
    make_tagger,
    train_tagger,
)

QUERIES = [
    mark_tokens(["red", "wool", "hat"], ["B-color", "B-material", "B-core_product_type"]),
    mark_tokens(
        ["nike", "running", "shoes", "men"],
        ["B-creator", "B-modifier", "B-core_product_type", "B-department"],
    ),
    mark_tokens(["usb", "charging", "cable"], ["B-core_product_type", "I-core_product_type", "I-core_product_type"]),
    mark_tokens(["blue", "lamp", "for", "desk"], ["B-color", "B-core_product_type", "O", "B-occasion"]),
    mark_tokens(["1/2", "oak", "shelf"], ["B-UoM", "B-material", "B-core_product_type"]),
]
TITLES = [
    mark_values("Nike Men's Pegasus, Red", {"Brand": {"Nike": 1}, "Model name": {"Pegasus": 1}, "Color": {"Red": 1}}),
    mark_values("Folgers Ground Coffee 12 Oz", {"Brand": {"Folgers": 1}, "Item form": {"Ground Coffee": 1}}),
    mark_values("Tom's Soft Toothbrush", {"Brand": {"Tom's": 1}, "Firmness": {"Soft": 1}}),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = " ".join(text.text for text in [*QUERIES, *TITLES])
    normal, split = BertNormalizer(lowercase=True), BertPreTokenizer()
    words = sorted({word for word, _ in split.pre_tokenize_str(normal.normalize_str(texts))} - {"toothbrush"})
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *words, "tooth", "##brush"]
    made = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normal, split
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return made


def _model(tokenizer: Tokenizer) -> TagModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    return TagModel(BertModel(config, add_pooling_layer=False), TagHead(32))


def test_labels_stand_on_first_tokens(tokenizer: Tokenizer) -> None:
    batch = make_batches(encode_marked(tokenizer, [TITLES[2]]), TagRecipe(), np.random.default_rng(0))[0]
    names = SIDE_LABELS[Side.TITLE]
    # [CLS] tom ' s soft tooth ##brush [SEP]
    got = [None if label == IGNORED else names[label] for label in batch.labels[0].tolist()]
    assert got == [None, "B-brand", "I-brand", "I-brand", "B-technical_specification", "O", None, None]


def test_batches_hold_one_side_and_every_text_once(tokenizer: Tokenizer) -> None:
    examples = encode_marked(tokenizer, [*QUERIES, *TITLES])
    recipe = TagRecipe(query_batch=2, title_batch=2)
    batches = make_batches(examples, recipe, np.random.default_rng(3))
    assert sorted((batch.side, len(batch.ids)) for batch in batches) == [
        ("query", 1), ("query", 2), ("query", 2), ("title", 1), ("title", 2),
    ]  # fmt: skip
    rows = [
        tuple(row[mask == 1].tolist()) for batch in batches for row, mask in zip(batch.ids, batch.mask, strict=True)
    ]
    assert sorted(rows) == sorted(item.words.ids for item in examples)


def test_loss_is_cross_entropy_over_the_sides_own_columns(tokenizer: Tokenizer) -> None:
    head = TagHead(4).eval()
    batch = make_batches(encode_marked(tokenizer, QUERIES[:1]), TagRecipe(), np.random.default_rng(0))[0]
    hidden = torch.randn(*batch.ids.shape, 4)
    scores = head(hidden).detach()[0, :, head_columns(Side.QUERY)].log_softmax(-1)
    names = SIDE_LABELS[Side.QUERY]
    wanted = [names.index("B-color"), names.index("B-material"), names.index("B-core_product_type")]
    by_hand = -sum(scores[1 + word, label] for word, label in enumerate(wanted)) / 3
    assert head.loss(hidden, batch).item() == pytest.approx(by_hand.item(), abs=1e-5)


def test_training_learns_eight_texts_by_heart(tokenizer: Tokenizer) -> None:
    texts: list[MarkedText] = [*QUERIES, *TITLES]
    model = _model(tokenizer)
    recipe = TagRecipe(
        epochs=40, query_batch=5, title_batch=3, learning_rate=5e-3, head_learning_rate=5e-3, average=0.8
    )
    losses = list(train_tagger(model, encode_marked(tokenizer, texts), recipe))
    assert len(losses) == recipe.epochs
    assert losses[-1] < 0.1 * losses[0]
    scores = score_tagger(make_tagger(model, tokenizer), texts)
    assert scores["micro"].f1 == 1.0
    assert scores["micro"].marked == 3 + 4 + 1 + 3 + 3 + 3 + 2 + 2


def test_same_seed_same_weights(tokenizer: Tokenizer) -> None:
    examples = encode_marked(tokenizer, QUERIES)
    first, second = _model(tokenizer), _model(tokenizer)
    for model in (first, second):
        list(train_tagger(model, examples, TagRecipe(epochs=2, query_batch=2)))
    for left, right in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(left, right)
