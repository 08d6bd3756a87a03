"""Codes into a model's tokens and back, one way for each backbone.

Compact: each value is one token, its place in the attribute dictionary. Causal LM: a code is its canonical text,
"black | xerox", in the tokens of the LM. This module knows neither models nor probabilities. The model adds the closing
token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tokenizers import Tokenizer

from gram_os.model.prompts import read_literally
from gram_os.text.code import SEPARATOR, Code
from gram_os.text.dictionary import AttributeDictionary, Tokens


class CodeTokeniser(Protocol):
    """Codes as token sequences of one model, without the closing token."""

    def encode(self, code: Code) -> Tokens | None:
        """Return the code's tokens, or None when the model cannot write one of its values."""

    def decode(self, tokens: Sequence[int]) -> Code:
        """Return the code of tokens from `encode`."""

    def value_lengths(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the number of tokens of each value. They add up to all tokens."""


class ValueTokeniser:
    """Writes each value as one token, for the compact backbone."""

    def __init__(self, dictionary: AttributeDictionary):
        self.encode = dictionary.encode
        self.decode = dictionary.decode

    def value_lengths(self, tokens: Sequence[int]) -> Sequence[int]:
        """See `CodeTokeniser.value_lengths`."""
        return (1,) * len(tokens)


class TextTokeniser:
    """Writes a code as its canonical text, token by token, for the causal LM.

    Every value is tokenised alone, as it reads after a space. So a value has the same tokens in every code, and codes
    that share values share tokens. A separator belongs to the value after it, because it says that the code continues.
    Only the dictionary's values can be written, as with the compact backbone.
    """

    def __init__(self, tokenizer: Tokenizer, dictionary: AttributeDictionary):
        tokenizer = read_literally(tokenizer)
        (self._separator,) = _continuations(tokenizer, "a", [SEPARATOR.rstrip()])
        self._tokens: dict[str, Tokens] = {}
        self._values: dict[Tokens, str] = {}
        spaced = [f" {value}" for value in dictionary.values]
        for value, tokens in zip(dictionary.values, _continuations(tokenizer, "|", spaced), strict=True):
            # A tokenizer with a token for unknown words may give two values the same tokens: the first value keeps
            # them.
            if tokens and self._separator[-1] not in tokens and tokens not in self._values:
                self._tokens[value], self._values[tokens] = tokens, value

    def encode(self, code: Code) -> Tokens | None:
        """See `CodeTokeniser.encode`."""
        found: list[int] = []
        for value in code.values:
            tokens = self._tokens.get(value)
            if tokens is None:
                return None
            found += (*self._separator, *tokens) if found else tokens
        return tuple(found)

    def decode(self, tokens: Sequence[int]) -> Code:
        """See `CodeTokeniser.decode`."""
        skipped = len(self._separator)
        written = (tokens[start + skipped if start else 0 : stop] for start, stop in self._spans(tokens))
        return Code(tuple(self._values[tuple(part)] for part in written))

    def value_lengths(self, tokens: Sequence[int]) -> Sequence[int]:
        """See `CodeTokeniser.value_lengths`."""
        return [stop - start for start, stop in self._spans(tokens)]

    def _spans(self, tokens: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield start and stop of each value, its separator included. The bar's token occurs in no value."""
        bar, before = self._separator[-1], len(self._separator) - 1
        starts = [0, *(at - before for at, token in enumerate(tokens) if token == bar)]
        yield from zip(starts, [*starts[1:], len(tokens)], strict=True)


def _continuations(tokenizer: Tokenizer, before: str, texts: Sequence[str]) -> list[Tokens]:
    """Return each text's tokens after `before`: many tokenizers treat the first word of a text differently."""
    opening = tokenizer.encode(before, add_special_tokens=False).ids
    items = tokenizer.encode_batch([before + text for text in texts], add_special_tokens=False)
    plain = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [
        tuple(item.ids[len(opening) :] if item.ids[: len(opening)] == opening else alone.ids)
        for item, alone in zip(items, plain, strict=True)
    ]
