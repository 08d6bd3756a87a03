"""The compact backbone as the stages of a training see it (`Backbone`): start, code texts, fine-tune, save, load."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from gram_os.arrays import FloatArray, IntArray
from gram_os.model.decode import beam_search
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.teach import TrainingSet, TrainingTexts
from gram_os.train.loop.processes import processes
from gram_os.train.loop.training_loop import Journal, RateGroup
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.encoder import QUERY_TOKENS, TITLE_TOKENS, length_buckets, load_encoder
from gram_os.train.models.tag_branch import BranchedTagger, read_states, train_branch
from gram_os.train.models.tagger import TagModel, TagRecipe, encode_marked
from gram_os.train.models.tagger_checkpoint import read_training_texts
from gram_os.train.models.torch_lm import TorchLanguageModel
from gram_os.train.objectives.sft import Example, SftSettings, train_generator
from gram_os.train.pair.coding import CodedTexts, combine_codes

log = logging.getLogger(__name__)

_BATCH = 256  # texts whose first tokens are scored together
_BEAM_BATCH = 64  # texts of one beam search
_WEIGHTS = "model.safetensors"


class CompactBackbone:
    """Encoder and decoder over one catalogue's dictionary, and a tagger beside them.

    tagger: the one of stage 1; the bundle's tagger starts from its last layers and its head (`learn_tags`).
    """

    def __init__(self, mined: MinedCatalogue, tagger: TagModel, tokenizer: Tokenizer):
        self.mined, self.tokenizer = mined, tokenizer
        values = mined.dictionary.values
        self.model = CompactModel(load_encoder(), CompactDecoder(CompactShape(values=len(values)))).eval()
        # The word table stays as pretrained: words that the catalogue lacks keep their vectors beside those that it
        # has.
        self.model.encoder.embeddings.word_embeddings.weight.requires_grad_(False)
        self.tagger = BranchedTagger(tagger, read_states(self.model.encoder)).eval()

    def initialise(self, encoder: Any, vectors: FloatArray) -> None:
        """Start from an encoder and the values' vectors in its space (`value_vectors`): float32 (values, width)."""
        self.model.encoder.load_state_dict(encoder.state_dict())
        self.model.decoder.initialise(torch.from_numpy(vectors))

    def learn_tags(self, data: Path, recipe: TagRecipe) -> None:
        """Train the tagger on the texts in the folder `data`. The encoder stays as it is."""
        examples = encode_marked(self.tokenizer, read_training_texts(data, recipe))
        for epoch, loss in enumerate(train_branch(self.tagger, examples, recipe), 1):
            log.info("tagger, epoch %d of %d: loss %.4f", epoch, recipe.epochs, loss)

    def ids(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """Return the token ids of texts, cut at the side's length."""
        most = TITLE_TOKENS if side is Side.TITLE else QUERY_TOKENS
        return [item.ids[:most] for item in self.tokenizer.encode_batch(list(texts))]

    def write(self, codes: Iterable[Tokens]) -> list[Tokens]:
        """Return the codes themselves: the model's tokens are those of the dictionary."""
        return list(codes)

    def count_values(self, code: Tokens) -> int:
        """Count the tokens: each is a value."""
        return len(code)

    def fine_tune(self, examples: TrainingSet, settings: SftSettings, journal: Journal) -> None:
        """See `Backbone.fine_tune`."""
        queries = [
            *self._examples(examples.clicked, Side.QUERY, weight=examples.weight),
            *self._examples(examples.synthetic, Side.QUERY),
        ]
        titles = self._examples(examples.titles, Side.TITLE)
        train_generator(self.model, queries, titles, settings, journal=journal)

    def generate(self, texts: Sequence[str], side: Side, width: int) -> list[list[Tokens]]:
        """See `Backbone.generate`."""
        most = {Side.QUERY: QUERY_TOKENS, Side.TITLE: TITLE_TOKENS}
        model = TorchLanguageModel(self.model.eval(), self.tokenizer, most, bfloat16=True)
        trie = CodeTrie.build(self.mined.codes)
        found: list[list[Tokens]] = [[] for _ in texts]
        for places in length_buckets([len(text) for text in texts], _BEAM_BATCH):
            first = model.start([texts[i] for i in places], side)
            for place, codes in zip(places, beam_search(model, trie, first, width=width), strict=True):
                found[place] = [code.tokens for code in codes]
        return found

    def groups(self, encoder_rate: float, decoder_rate: float) -> list[RateGroup]:
        """Return the encoder, without its word table, and the decoder, each at its rate."""
        encoder = [p for p in self.model.encoder.parameters() if p.requires_grad]
        return [
            RateGroup(encoder, encoder_rate),
            RateGroup(list(self.model.decoder.parameters()), decoder_rate),
        ]

    @torch.inference_mode()
    def code(
        self,
        ids: Sequence[Sequence[int]],
        side: Side,
        own: Sequence[IntArray],
        width: int,
    ) -> CodedTexts:
        """See `CodeTexts.code`; where the dictionary has fewer than `width` values, all of them."""
        self.model.eval()
        values = len(self.mined.dictionary.values)
        width = min(width, values)
        log_probs: list[FloatArray] = [np.empty(0, np.float32)] * len(ids)
        generated = np.zeros((len(ids), width), np.int64)
        scores = np.zeros((len(ids), width), np.float32)
        for places in length_buckets([len(row) for row in ids], _BATCH):
            with torch.autocast("cpu", torch.bfloat16):
                found = self.model.first_log_probs([ids[i] for i in places], side)[:, :values]
            best = found.topk(width)
            generated[places], scores[places] = best.indices.numpy(), best.values.numpy()
            for row, place in enumerate(places):
                known = own[place][own[place] < values]
                log_probs[place] = found[row, torch.from_numpy(known)].numpy()
        return combine_codes(own, log_probs, generated, scores, values)

    def save(self, folder: Path) -> None:
        """See `Backbone.save`; writes model and tagger."""
        if not processes().is_main_process:
            return
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        state |= {f"tagger.{name}": tensor for name, tensor in self.tagger.state_dict().items()}
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, folder / _WEIGHTS)

    def load(self, folder: Path) -> None:
        """See `Backbone.load`."""
        state = load_file(folder / _WEIGHTS)
        for prefix, module in (("model.", self.model), ("tagger.", self.tagger)):
            module.load_state_dict(
                {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            )

    def _examples(self, examples: TrainingTexts, side: Side, *, weight: float = 1.0) -> list[Example]:
        rows = self.ids(examples.texts, side)
        return [Example(ids, target, weight) for ids, target in zip(rows, examples.targets, strict=True)]
