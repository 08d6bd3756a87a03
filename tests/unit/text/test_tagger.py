"""The tagger without its network: words, valid decoding against brute force, spans and offsets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.attribute import HEAD_WIDTH, SIDE_LABELS, AttributeType, Side, head_columns
from gram_os.text.tagger import (
    MAX_TOKENS,
    Tagger,
    decode_bio,
    encode_words,
    group_labels,
    log_softmax,
    split_words,
)


def _tokenizer() -> Tokenizer:
    pieces = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[UNK]",
        "red",
        "wool",
        "##en",
        "hat",
        ",",
        "1",
        "/",
        "2",
        "cafe",
        "blue",
    ]
    tokenizer = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    tokenizer.enable_padding(length=40)  # as the published tokenizer.json has it: the tagger must undo it on a copy
    return tokenizer


class _Scripted:
    """Gives each known token id one label: logit 10 for it, 0 for the others."""

    def __init__(self, side: Side, labels: dict[str, str]):
        vocabulary = _tokenizer().get_vocab()
        offset = head_columns(side).start
        self.columns = {vocabulary[piece]: offset + SIDE_LABELS[side].index(label) for piece, label in labels.items()}
        self.offset = offset

    def __call__(self, ids: IntArray, mask: IntArray) -> FloatArray:
        assert ids.shape == mask.shape
        logits = np.zeros((*ids.shape, HEAD_WIDTH), np.float32)
        for place, token in np.ndenumerate(ids):
            logits[(*place, self.columns.get(int(token), self.offset))] = 10.0
        return logits


def test_words_of_the_two_sides() -> None:
    text = "L'Oréal t-shirt,100%"
    query = [text[start:end] for start, end in split_words(text, Side.QUERY)]
    title = [text[start:end] for start, end in split_words(text, Side.TITLE)]
    assert query == ["L'Oréal", "t-shirt,100%"]
    assert title == ["L", "'", "Oréal", "t", "-", "shirt", ",", "100", "%"]


def test_first_tokens_of_words() -> None:
    words = encode_words(_unpadded(), ["woolen 1/2 hat"], Side.QUERY)[0]
    assert words.ids == (1, 5, 6, 9, 10, 11, 7, 2)
    assert words.first == (1, 3, 6)


def _unpadded() -> Tokenizer:
    tokenizer = _tokenizer()
    tokenizer.no_padding()
    return tokenizer


def test_word_without_token_has_no_place() -> None:
    words = encode_words(_unpadded(), ["red \u200b\u200d hat"], Side.QUERY)[0]  # format characters are cleaned away
    assert words.first == (1, -1, 2)


def test_long_text_is_cut_and_keeps_its_end_token() -> None:
    words = encode_words(_unpadded(), ["red " * 200], Side.QUERY)[0]
    assert len(words.ids) == MAX_TOKENS
    assert words.ids[-1] == 2
    assert words.first[MAX_TOKENS - 3] == MAX_TOKENS - 2
    assert set(words.first[MAX_TOKENS - 2 :]) == {-1}


def _valid(path: tuple[int, ...]) -> bool:
    return all(
        label == 0 or label % 2 == 1 or before in (label, label - 1)
        for before, label in zip((0, *path), path, strict=False)
    )


@pytest.mark.parametrize("words", [1, 2, 3, 4, 5])
def test_decoding_equals_brute_force(words: int) -> None:
    rng = np.random.default_rng(words)
    for _ in range(30):
        scores = log_softmax(rng.normal(0, 2, (words, 5)).astype(np.float32))
        paths = filter(_valid, itertools.product(range(5), repeat=words))
        best = max(paths, key=lambda path: sum(scores[word, label] for word, label in enumerate(path)))
        assert decode_bio(scores) == list(best)


def test_decoding_of_nothing() -> None:
    assert decode_bio(np.zeros((0, 5))) == []


def test_inside_after_inside_of_another_type_begins_anew() -> None:
    assert list(group_labels([1, 2, 3, 4, 0])) == [(1, range(0, 2)), (3, range(2, 4))]


def test_log_softmax_by_hand() -> None:
    assert np.exp(log_softmax(np.array([[0.0, np.log(3.0)]], np.float32))) == pytest.approx(np.array([[1 / 4, 3 / 4]]))


def test_spans_of_a_query() -> None:
    labels = {"red": "B-color", "wool": "B-core_product_type", "hat": "I-core_product_type"}
    tagger = Tagger(_tokenizer(), _Scripted(Side.QUERY, labels))
    text = "  RED, Woolen  hat"
    spans = tagger.tag([text], Side.QUERY)[0]
    assert [(span.start, span.end, span.text, span.label, span.type) for span in spans] == [
        (2, 5, "RED", "color", AttributeType.COLOUR),
        (7, 18, "Woolen  hat", "core_product_type", AttributeType.PRODUCT_TYPE),
    ]
    assert spans[1].probability == pytest.approx(np.exp(10) / (np.exp(10) + 34))


def test_spans_of_a_title() -> None:
    tagger = Tagger(
        _tokenizer(),
        _Scripted(Side.TITLE, {"cafe": "B-brand", "1": "B-other", "/": "I-other", "2": "I-other"}),
    )
    spans = tagger.tag(["Café 1/2"], Side.TITLE)[0]
    assert [(span.text, span.label) for span in spans] == [("Café", "brand"), ("1/2", "other")]


def test_batches_keep_the_order_of_texts() -> None:
    tagger = Tagger(_tokenizer(), _Scripted(Side.QUERY, {"red": "B-color", "blue": "B-color"}), batch_size=2)
    found = tagger.tag(["hat hat hat red", "blue", "", "hat red blue", "hat"], Side.QUERY)
    assert [[span.text for span in spans] for spans in found] == [["red"], ["blue"], [], ["red", "blue"], []]
    assert tagger.tag([], Side.QUERY) == []


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("(red),", "red"),
        (".5red", ".5red"),
        (".red.", "red"),
        ("(.5red)", ".5red"),
        ('red"', 'red"'),
        ("!?", "!?"),
    ],
)
def test_query_spans_lose_punctuation_but_not_meaning(text: str, span: str) -> None:
    def all_colour(ids: IntArray, mask: IntArray) -> FloatArray:
        logits = np.zeros((*ids.shape, HEAD_WIDTH), np.float32)
        logits[..., SIDE_LABELS[Side.QUERY].index("B-color")] = 9.0
        return logits

    assert [found.text for found in Tagger(_tokenizer(), all_colour).tag([text], Side.QUERY)[0]] == [span]


def test_a_mark_or_a_sign_that_nobody_sees_ends_no_word_of_a_title() -> None:
    text = "किताब key\u00adboard น้ำ/ฝ"
    assert [text[start:end] for start, end in split_words(text, Side.TITLE)] == [
        "किताब", "key\u00adboard", "น้ำ", "/", "ฝ",
    ]  # fmt: skip
