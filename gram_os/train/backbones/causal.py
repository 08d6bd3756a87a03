"""A causal LM as the stages of a training see it (`Backbone`): code texts, fine-tune, save, load.

It writes a code in its own tokens, several for a value, so single values also come from a beam search. It works on the
device on which trainings run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import load_model, save_model

from gram_os.arrays import FloatArray, IntArray
from gram_os.model.decode import beam_search, score_sequences
from gram_os.model.prompts import PromptEncoder
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.backbones.code_writer import CodeWriter
from gram_os.train.lessons.teach import TrainingSet, TrainingTexts
from gram_os.train.loop.processes import processes
from gram_os.train.loop.training_loop import Journal, RateGroup
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.models.causal import CausalModel, CausalSource
from gram_os.train.models.encoder import length_buckets
from gram_os.train.models.torch_causal_lm import TorchCausalLm
from gram_os.train.objectives.causal_sft import train_causal
from gram_os.train.objectives.sft import Example, SftSettings
from gram_os.train.pair.coding import CodedTexts, combine_codes

_BATCH = 32  # texts of one beam search: every beam of every text has a row in the cache
_SCORED = 8  # texts whose own values are scored together; a text may have a hundred of them
_WEIGHTS = "model.safetensors"


class CausalBackbone:
    """A causal LM over one catalogue's dictionary."""

    def __init__(self, mined: MinedCatalogue, source: CausalSource):
        self.mined, self.source = mined, source
        self.model = CausalModel(source.model).eval()
        self._prompts = PromptEncoder(source.tokenizer)
        self._writer = CodeWriter(source.tokenizer, mined.dictionary)
        self.codes_trie = CodeTrie.build(self.write(mined.codes))
        self._values = CodeTrie.build(self.write((token,) for token in range(len(mined.dictionary.values))))

    def ids(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """Return the prompts of texts as token ids."""
        return self._prompts.encode(texts, side)

    def write(self, codes: Iterable[Tokens]) -> list[Tokens]:
        """See `Backbone.write`."""
        return [tokens for code in codes if (tokens := self._writer.write(code)) is not None]

    def count_values(self, code: Tokens) -> int:
        """See `Backbone.count_values`."""
        return self._writer.count_values(code)

    def fine_tune(self, examples: TrainingSet, settings: SftSettings, journal: Journal) -> None:
        """See `Backbone.fine_tune`; `CausalSettings` says which of the settings count."""
        queries = [
            *self._examples(examples.clicked, Side.QUERY, weight=examples.weight),
            *self._examples(examples.synthetic, Side.QUERY),
        ]
        titles = self._examples(examples.titles, Side.TITLE)
        train_causal(self.source, queries, titles, settings, journal=journal)

    def generate(self, texts: Sequence[str], side: Side, width: int) -> list[list[Tokens]]:
        """See `Backbone.generate`."""
        lm = self._language_model()
        found: list[list[Tokens]] = [[] for _ in texts]
        for places in length_buckets([len(text) for text in texts], _BATCH):
            first = lm.start([texts[i] for i in places], side)
            for place, codes in zip(places, beam_search(lm, self.codes_trie, first, width=width), strict=True):
                found[place] = [self._writer.read(code.tokens) for code in codes]
        return found

    def code(
        self,
        ids: Sequence[Sequence[int]],
        side: Side,
        own: Sequence[IntArray],
        width: int,
    ) -> CodedTexts:
        """See `CodeTexts.code`. `side` is not needed: the prompt contains it."""
        del side
        lm, known = self._language_model(), len(self.mined.dictionary.values)
        width = min(width, len(self._values))
        log_probs: list[FloatArray] = [np.empty(0, np.float32)] * len(ids)
        generated = np.zeros((len(ids), width), np.int64)
        scores = np.zeros((len(ids), width), np.float32)
        for places in length_buckets([len(row) for row in ids], _SCORED):
            first = lm.read([ids[i] for i in places])
            written = [[self._writer.write((c,)) for c in own[i].tolist() if c < known] for i in places]
            own_scores = score_sequences(lm, first, [[code for code in row if code is not None] for row in written])
            for place, row, scored in zip(places, written, own_scores, strict=True):
                log_probs[place] = _log_probs(row, iter(scored))
            if width:
                for place, codes in zip(places, beam_search(lm, self._values, first, width=width), strict=True):
                    generated[place] = [self._writer.read(code.tokens)[0] for code in codes]
                    scores[place] = [sum(code.log_probs[:-1]) for code in codes]
        return combine_codes(own, log_probs, generated, scores, known)

    def groups(self, encoder_rate: float, decoder_rate: float) -> list[RateGroup]:
        """Return the whole LM at `decoder_rate`."""
        del encoder_rate
        return [RateGroup(list(self.model.parameters()), decoder_rate)]

    def save(self, folder: Path) -> None:
        """See `Backbone.save`."""
        if processes().is_main_process:
            save_model(self.source.model, str(folder / _WEIGHTS))

    def load(self, folder: Path) -> None:
        """See `Backbone.load`."""
        load_model(self.source.model, folder / _WEIGHTS)

    def _examples(self, examples: TrainingTexts, side: Side, *, weight: float = 1.0) -> list[Example]:
        rows = self.ids(examples.texts, side)
        return [
            Example(ids, self._writer.write_target(target), weight)
            for ids, target in zip(rows, examples.targets, strict=True)
        ]

    def _language_model(self) -> TorchCausalLm:
        self.source.model.to(processes().device)
        return TorchCausalLm(self.source, bfloat16=True)


def _log_probs(written: Sequence[Tokens | None], scored: Iterator[Sequence[float]]) -> FloatArray:
    """Return the log-probability of each value; NaN for a value that cannot be written.

    scored: for each other value in turn the log-probabilities of its tokens.
    """
    return np.array([np.nan if code is None else sum(next(scored)) for code in written], np.float32)
