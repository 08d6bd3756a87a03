"""The two prompts and codes as text, on a small byte-level tokenizer."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from gram_os.model.code_tokens import TextTokeniser, ValueTokeniser
from gram_os.model.prompts import MAX_PROMPT_TEXT, PromptEncoder, pad_left, positions
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.code import Code
from gram_os.text.dictionary import AttributeDictionary

VALUES = ("black", "toner", "toner cartridge", "xerox", "½ in", "カラー")
CODES = [Code(("black",)), Code(("toner", "xerox")), Code(("black", "toner cartridge", "½ in", "カラー"))]


@pytest.fixture
def tokenizer() -> Tokenizer:
    """A byte-level tokenizer with a few merges. A text opens with <s>, as Llama's do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["query: red shoes; codes: shoes", "title: black toner cartridge"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


@pytest.fixture
def dictionary() -> AttributeDictionary:
    return AttributeDictionary(VALUES, (AttributeType.OTHER,) * len(VALUES), (1,) * len(VALUES))


def test_prompts_read_as_written(tokenizer: Tokenizer) -> None:
    encoder = PromptEncoder(tokenizer)
    (query,) = encoder.encode([" red \n shoes "], Side.QUERY)
    (title,) = encoder.encode(["red shoes"], Side.TITLE)
    assert tokenizer.decode(query, skip_special_tokens=False) == "<s>query: red shoes; codes:"
    assert tokenizer.decode(title, skip_special_tokens=False) == "<s>title: red shoes; codes:"


def test_long_text_is_cut_and_its_end_asks_for_codes(tokenizer: Tokenizer) -> None:
    encoder = PromptEncoder(tokenizer)
    empty, long = encoder.encode(["", "9 " * 500], Side.TITLE)
    space = len(tokenizer.encode(" ", add_special_tokens=False).ids)
    assert len(long) == len(empty) - space + MAX_PROMPT_TEXT
    assert tokenizer.decode(long).endswith("; codes:")


def test_special_tokens_in_a_text_are_plain_text(tokenizer: Tokenizer) -> None:
    encoder = PromptEncoder(tokenizer)
    (ids,) = encoder.encode(["</s>"], Side.QUERY)
    assert tokenizer.token_to_id("</s>") not in ids


def test_left_padding_by_hand() -> None:
    ids, mask = pad_left([[7], [5, 6, 8]])
    assert ids.tolist() == [[0, 0, 7], [5, 6, 8]]
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert positions(mask).tolist() == [[0, 0, 0], [0, 1, 2]]
    assert ids.dtype == mask.dtype == np.int64


@pytest.mark.parametrize("code", CODES, ids=str)
def test_code_survives_its_tokens(code: Code, tokenizer: Tokenizer, dictionary: AttributeDictionary) -> None:
    for tokeniser in (TextTokeniser(tokenizer, dictionary), ValueTokeniser(dictionary)):
        tokens = tokeniser.encode(code)
        assert tokens is not None
        assert tokeniser.decode(tokens) == code
        lengths = list(tokeniser.value_lengths(tokens))
        assert len(lengths) == len(code.values)
        assert sum(lengths) == len(tokens)


def test_code_is_its_canonical_text(tokenizer: Tokenizer, dictionary: AttributeDictionary) -> None:
    tokeniser = TextTokeniser(tokenizer, dictionary)
    for code in CODES:
        whole = tokenizer.encode(f"codes: {code}", add_special_tokens=False).ids
        assert (
            list(tokeniser.encode(code) or ()) == whole[len(tokenizer.encode("codes:", add_special_tokens=False).ids) :]
        )


def test_separator_belongs_to_the_value_after_it(tokenizer: Tokenizer, dictionary: AttributeDictionary) -> None:
    tokeniser = TextTokeniser(tokenizer, dictionary)
    tokens = tokeniser.encode(Code(("toner cartridge", "xerox"))) or ()
    first, _ = tokeniser.value_lengths(tokens)
    assert tokenizer.decode(tokens[:first]) == " toner cartridge"
    assert tokenizer.decode(tokens[first:]) == " | xerox"


def test_unknown_value_cannot_be_written(tokenizer: Tokenizer, dictionary: AttributeDictionary) -> None:
    tokeniser = TextTokeniser(tokenizer, dictionary)
    assert tokeniser.encode(Code(("black", "hp"))) is None
    assert all(tokeniser.encode(code) is not None for code in CODES)
    assert tokeniser.encode(Code(("hp",))) is None


def test_words_that_the_tokenizer_does_not_know_are_told_apart_or_left_out(
    dictionary: AttributeDictionary,
) -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "black": 1, "|": 2, "a": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokeniser = TextTokeniser(words, dictionary)
    assert tokeniser.encode(Code(("black",))) == (1,)
    assert tokeniser.encode(Code(("xerox",))) is None  # [UNK] is what "toner" already has
