"""Codes in the dictionary's tokens as codes in a causal LM's, and back."""

from __future__ import annotations

from dataclasses import replace

from tokenizers import Tokenizer

from gram_os.model.code_tokens import TextTokeniser
from gram_os.text.dictionary import AttributeDictionary, Tokens
from gram_os.train.lessons.targets import Target


class CodeWriter:
    """Codes in the dictionary's tokens -> in the LM's, and back; each code is tokenised once."""

    def __init__(self, tokenizer: Tokenizer, dictionary: AttributeDictionary):
        self._tokeniser, self._dictionary = TextTokeniser(tokenizer, dictionary), dictionary
        self._known: dict[Tokens, Tokens | None] = {}

    def write(self, code: Tokens) -> Tokens | None:
        """The LM's tokens, without the closing one; None for a code that the LM cannot write."""
        if code not in self._known:
            self._known[code] = self._tokeniser.encode(self._dictionary.decode(code))
        return self._known[code]

    def read(self, tokens: Tokens) -> Tokens:
        """The dictionary's tokens of what `write` gave."""
        return tuple(self._dictionary.tokens[value] for value in self._tokeniser.decode(tokens).values)

    def count_values(self, tokens: Tokens) -> int:
        """How many values stand in what `write` gave."""
        return len(self._tokeniser.value_lengths(tokens))

    def target(self, target: Target) -> Target:
        """Codes that the LM cannot write give their share to the others."""
        pairs = [(self.write(code), share) for code, share in zip(target.codes, target.shares, strict=True)]
        kept = [(code, share) for code, share in pairs if code is not None]
        total = sum(share for _, share in kept)
        return replace(target, codes=tuple(c for c, _ in kept), shares=tuple(s / total for _, s in kept))
