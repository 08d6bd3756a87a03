"""Codes in the dictionary's tokens become codes in a causal LM's tokens, and back."""

from __future__ import annotations

from dataclasses import replace

from tokenizers import Tokenizer

from gram_os.model.code_tokens import TextTokeniser
from gram_os.text.dictionary import AttributeDictionary, Tokens
from gram_os.train.lessons.targets import Target


class CodeWriter:
    """Turns codes from the dictionary's tokens into the LM's, and back; each code is tokenised once."""

    def __init__(self, tokenizer: Tokenizer, dictionary: AttributeDictionary):
        self._tokeniser, self._dictionary = TextTokeniser(tokenizer, dictionary), dictionary
        self._known: dict[Tokens, Tokens | None] = {}

    def write(self, code: Tokens) -> Tokens | None:
        """Return a code in the LM's tokens, without the closing one; None for a code that the LM cannot write."""
        if code not in self._known:
            self._known[code] = self._tokeniser.encode(self._dictionary.decode(code))
        return self._known[code]

    def read(self, tokens: Tokens) -> Tokens:
        """Return the dictionary's tokens of a code that `write` returned."""
        return tuple(self._dictionary.tokens[value] for value in self._tokeniser.decode(tokens).values)

    def count_values(self, tokens: Tokens) -> int:
        """Count the values of a code that `write` returned."""
        return len(self._tokeniser.value_lengths(tokens))

    def write_target(self, target: Target) -> Target:
        """Turn a target's codes into the LM's tokens; codes that it cannot write give their share to the others."""
        pairs = [(self.write(code), share) for code, share in zip(target.codes, target.shares, strict=True)]
        kept = [(code, share) for code, share in pairs if code is not None]
        total = sum(share for _, share in kept)
        return replace(target, codes=tuple(c for c, _ in kept), shares=tuple(s / total for _, s in kept))
