"""What benchmarks/gpu.py trains: a causal LM of random weights, made clicks, and the recipe with a number of steps.

Everything is made of the sample catalogue, so nothing has to be downloaded.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.decode import train_tokenizer
from benchmarks.decode_peers import save_llama
from gram_os.catalogue import Product
from gram_os.text.normalise import fold
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.models.causal import CausalSettings
from gram_os.train.models.encoder import load_encoder
from gram_os.train.models.tagger import TagHead, TagModel
from gram_os.train.models.tagger_checkpoint import save_checkpoint
from gram_os.train.recipe import Recipe, read_recipe

RECIPE = Path(__file__).parents[1] / "models" / "recipes" / "causal-lm.toml"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a run works on. The stages' steps are `steps`, half of it in co-training, a quarter in alignment.

    products: of the catalogue. queries: made queries with clicks. texts: a step's queries; titles are half of them.
    tagged: texts of each set that the tagger learns from; 0 for a tagger that learned nothing, without its stage.
    timed: queries that are timed one by one; as many titles have their codes compared with torch's too. coded: titles
    that are timed together. layers, width: of the random weights; 0 for SmolLM2-135M's shape. An LM with its own
    layers comes with an encoder of one layer.
    """

    products: int
    queries: int
    steps: int
    texts: int
    tagged: int
    timed: int
    coded: int
    layers: int = 0
    width: int = 0


FULL = Sizes(products=300, queries=200, steps=200, texts=64, tagged=1500, timed=60, coded=2000)
TINY = Sizes(
    products=60, queries=90, steps=4, texts=4, tagged=0, timed=3, coded=8, layers=2, width=32
)  # fmt: skip


def make_checkpoint(folder: Path, texts: Sequence[str], sizes: Sizes) -> Path:
    """Write a Llama with random weights and a tokenizer of the texts, as `load_causal` reads it.

    The shape is SmolLM2-135M's: 30 layers, 576 wide, 9 heads over 3 key heads, a vocabulary of 49,152. The tokenizer
    has 8,192 tokens at most; the other rows of the vocabulary are there for their cost.
    """
    torch.manual_seed(0)
    tokenizer = train_tokenizer([*texts, "query: x; codes: y | z", "title: x; codes: y"])
    small = sizes.layers > 0
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size() if small else 49_152, hidden_size=sizes.width if small else 576,
        intermediate_size=2 * sizes.width if small else 1536, num_hidden_layers=sizes.layers if small else 30,
        num_attention_heads=4 if small else 9, num_key_value_heads=2 if small else 3, max_position_embeddings=8192,
        rope_theta=100_000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, initializer_range=1 / 24,
        bos_token_id=None, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return save_llama(LlamaForCausalLM(config), tokenizer, folder)


def make_clicks(products: Sequence[Product], count: int, *, seed: int = 0) -> Feedback:
    """Make queries of two neighbouring words of a title, with clicks on up to five products that have both.

    A product that has one of the two words, else any other one, is judged bad.
    """
    rng = random.Random(seed)
    words = {product.id: fold(product.title).split() for product in products}
    pairs: list[Pair] = []
    seen: set[str] = set()
    for product in rng.choices(products, k=8 * count):
        own = [word for word in words[product.id] if word.isalpha()]
        if len(own) < 2 or len(seen) == count:
            continue
        at = rng.randrange(min(len(own) - 1, 5))
        query = " ".join(own[at : at + 2])
        if query in seen:
            continue
        seen.add(query)
        asked = set(own[at : at + 2])
        clicked = [other.id for other in products if asked <= set(words[other.id])][:5]
        others = [other.id for other in products if other.id not in clicked]
        near = [other for other in others if asked & set(words[other])]
        pairs += [Pair(query, found, 1.0, positive=True) for found in clicked]
        pairs.append(Pair(query, rng.choice(near or others), 0.0, positive=False))
    return Feedback(tuple(pairs))


def make_recipe(model: str, gguf_file: str | None, sizes: Sizes, *, tagger: Path | None = None) -> Recipe:
    """Return models/recipes/causal-lm.toml with the run's steps, every stage of it, and fp16.

    tagger: the folder of a tagger, for a run without that stage.
    """
    base, steps = read_recipe(RECIPE), sizes.steps
    return base.model_copy(
        update={
            "label": "gpu", "precision": "fp16", "held_out": 0.1,
            "tagger": dataclasses.replace(base.tagger, epochs=1, most_texts=sizes.tagged), "tagger_checkpoint": tagger,
            "mining": base.mining.model_copy(update={"most_values": 2000}),
            "synthesis": base.synthesis.model_copy(update={"queries": 20 * sizes.texts, "words": False}),
            "matching": dataclasses.replace(base.matching, epochs=1, batch=sizes.texts),
            "sft": dataclasses.replace(base.sft, steps=steps, queries=sizes.texts, titles=sizes.texts // 2),
            "relevance": dataclasses.replace(base.relevance, most_pairs=64 * sizes.texts),
            "cotraining": base.cotraining.model_copy(update={"rounds": 1, "steps": max(1, steps // 2)}),
            "alignment": dataclasses.replace(base.alignment, steps=max(1, steps // 4)),
            "pair": dataclasses.replace(base.pair, share=0.4, steps=min(steps, base.pair.steps)),
            "causal": CausalSettings(model, gguf_file),
            "serving": base.serving.model_copy(update={"title_codes": min(base.serving.title_codes, 2 * sizes.texts)}),
        }
    )  # fmt: skip


def make_tagger(folder: Path) -> Path:
    """Write a tagger that learned nothing, on the encoder."""
    folder.mkdir()
    save_checkpoint(TagModel(load_encoder(), TagHead()), folder)
    return folder
