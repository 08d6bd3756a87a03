"""A bundle out of a catalogue alone: tagger -> mining -> synthetic queries -> teacher's codes -> SFT -> export.

The tagger is kept under `out`/work and taken up again by a later run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
import torch
from tokenizers import Tokenizer

from gram_os.annotation import read_marked, score_tagger
from gram_os.attribute import Side
from gram_os.bundle import Bundle, Manifest
from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.own_values import query_values
from gram_os.train.causal_stage import Lesson, run_causal_stage
from gram_os.train.compact import CompactDecoder, CompactModel, CompactShape
from gram_os.train.encoder import embed, load_encoder, load_tokenizer
from gram_os.train.export import compare_with_torch, export_compact
from gram_os.train.mining import Mined, mine
from gram_os.train.recipe import Recipe
from gram_os.train.sft import Example, TagReplay, train_generator
from gram_os.train.synthesis import product_surfaces, synthesise_queries, value_queries
from gram_os.train.tagger import TagModel, TagRecipe, encode_marked, make_tagger
from gram_os.train.tagger_stage import load_checkpoint, run_tagger_stage
from gram_os.train.targets import Teacher
from gram_os.trie import CodeTrie

log = logging.getLogger(__name__)

QUERY_TOKENS, TITLE_TOKENS = 32, 64


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run made, and the seconds of each stage."""

    bundle: Bundle
    seconds: dict[str, float]


def run_cold_start(products: Sequence[Product], recipe: Recipe, out: Path) -> Trained:
    """Train on `products` by `recipe`, write the bundle to `out`. Raises InputError for a catalogue too small to learn."""
    if len(products) < 50:
        raise InputError(
            f"{len(products)} products are too few to learn from; give a catalogue of at least 50"
        )
    work = out / "work"
    seconds: dict[str, float] = {}
    with _lap("tagger", seconds):
        tag_model = _tagger(work / "tagger", recipe)
    tokenizer = load_tokenizer()
    tagger = make_tagger(tag_model, tokenizer)
    with _lap("tag titles", seconds):
        spans = tagger.tag([product.title for product in products], Side.TITLE)
    with _lap("mine", seconds):
        mining = recipe.mining
        mined = mine(
            products, spans, attributes=mining.attributes, texts=mining.texts, most_values=mining.most_values,
            least_products=mining.least_products,
        )  # fmt: skip
        log.info(
            "%d values, %d codes, attributes %s",
            len(mined.dictionary.values),
            len(mined.codes),
            ", ".join(f"{name}={kind.value}" for name, kind in mined.attributes.items()),
        )
    with _lap("codes", seconds):
        queries, titles = _lessons(mined, recipe, tokenizer)
        log.info("%d queries and %d titles to learn", len(queries.texts), len(titles.texts))
    if recipe.causal is not None:
        with _lap("causal", seconds):
            bundle = run_causal_stage(
                mined, queries, titles, recipe.causal, _manifest(mined, recipe), out,
                precision=recipe.precision, report=_reporter(recipe.causal.steps),
            )  # fmt: skip
        return Trained(bundle, seconds)
    shape = CompactShape(values=len(mined.dictionary.values))
    model = CompactModel(tag_model.encoder, CompactDecoder(shape))
    with _lap("sft", seconds):
        model.decoder.initialise(torch.from_numpy(embed(load_encoder(), tokenizer, mined.dictionary.values)))
        _fine_tune(
            model,
            tag_model,
            tokenizer,
            _examples(queries, tokenizer, QUERY_TOKENS),
            _examples(titles, tokenizer, TITLE_TOKENS),
            recipe,
        )
        torch.save({"model": model.state_dict(), "head": tag_model.head.state_dict()}, work / "sft.pt")
    with _lap("export", seconds):
        bundle = _export(model, tag_model, tokenizer, mined, recipe, out)
    return Trained(bundle, seconds)


def _tagger(folder: Path, recipe: Recipe) -> TagModel:
    """Stage 1, or its checkpoint."""
    if not (folder / "model.safetensors").is_file():
        run_tagger_stage(tagging_data(), folder, recipe.tagger)
    return load_checkpoint(folder)


def tagging_data() -> Path:
    """The shipped data that taggers learn from (NOTICE says whose they are)."""
    return Path(str(resources.files("gram_os"))) / "data" / "tagging"


def _lessons(mined: Mined, recipe: Recipe, tokenizer: Tokenizer) -> tuple[Lesson, Lesson]:
    """Queries and titles with the teacher's codes."""
    products = mined.products
    surfaces = [product_surfaces(p, s, mined.attributes) for p, s in zip(products, mined.spans, strict=True)]
    texts = synthesise_queries(products, surfaces, count=recipe.synthesis.queries, seed=recipe.synthesis.seed)
    texts += value_queries(mined.dictionary.values)
    if recipe.synthesis.words:
        texts += [w for w in tokenizer.get_vocab() if w.isalpha() and w.isascii() and len(w) > 3]
    texts = list(dict.fromkeys(texts))
    titles = [product.title for product in products]
    encoder = load_encoder()
    teacher = Teacher(mined, embed(encoder, tokenizer, titles, most=TITLE_TOKENS))
    own = [query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary) for text in texts]
    query_targets = teacher.query_targets(own, embed(encoder, tokenizer, texts, most=QUERY_TOKENS))
    title_targets = teacher.title_targets(teacher.vectors, _other_texts(mined))
    return Lesson(texts, query_targets), Lesson(titles, title_targets)


def _examples(lesson: Lesson, tokenizer: Tokenizer, most: int) -> list[Example]:
    """A lesson in the encoder's tokens, `most` a text."""
    items = tokenizer.encode_batch(list(lesson.texts))
    return [Example(item.ids[:most], target) for item, target in zip(items, lesson.targets, strict=True)]


def _other_texts(mined: Mined) -> sparse.csr_matrix:
    """Values in the products' other texts: float (products, columns)."""
    rows: list[int] = []
    columns: list[int] = []
    for row, product in enumerate(mined.products):
        text = " ".join(str(product.fields[name]) for name in mined.texts if product.fields.get(name))
        found = {
            mined.columns[value] for value in mined.normaliser.values(text[:1000]) if value in mined.columns
        }
        columns += found
        rows += [row] * len(found)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=mined.own.shape)


def _fine_tune(
    model: CompactModel,
    tag_model: TagModel,
    tokenizer: Tokenizer,
    queries: Sequence[Example],
    titles: Sequence[Example],
    recipe: Recipe,
) -> None:
    # The word table stays as pretrained: words that the catalogue lacks keep their place beside those it has.
    model.encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    train_generator(model, queries, titles, recipe.sft, replay=_replay(tag_model, tokenizer, recipe.tagger))


def _reporter(steps: int) -> Callable[[int, float], None]:
    """Logs the mean loss of every 50 steps."""
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if (step + 1) % 50 == 0:
            log.info("step %d of %d: loss %.3f", step + 1, steps, float(np.mean(losses[-50:])))

    return report


def _replay(tag_model: TagModel, tokenizer: Tokenizer, recipe: TagRecipe) -> TagReplay:
    """The tagger's own data, in small batches."""
    data = tagging_data()
    marked = [*read_marked(data / "queryner/train.jsonl"), *read_marked(data / "oa_mine/train.jsonl")]
    examples = encode_marked(tokenizer, marked)
    return TagReplay(tag_model.head, examples, replace(recipe, query_batch=16, title_batch=4))


def _export(
    model: CompactModel, tag_model: TagModel, tokenizer: Tokenizer, mined: Mined, recipe: Recipe, out: Path
) -> Bundle:
    data = tagging_data()
    tagged = {"queryner": data / "queryner/validation.jsonl", "oa_mine": data / "oa_mine/test.jsonl"}
    tagger = make_tagger(tag_model, tokenizer)
    measures = {
        f"tagger_f1_{name}": round(score_tagger(tagger, read_marked(path))["micro"].f1, 4)
        for name, path in tagged.items()
    }
    manifest = _manifest(mined, recipe, measures)
    texts = [product.title for product in mined.products] + list(mined.dictionary.values)
    texts += [text.text for path in data.glob("*/*.jsonl") for text in read_marked(path)]
    bundle = export_compact(
        model, tag_model.head, tokenizer, out, manifest, texts=texts, dictionary=mined.dictionary,
        vocabulary=mined.vocabulary, normaliser=mined.normaliser, trie=CodeTrie.build(mined.codes),
        precision=recipe.precision,
    )  # fmt: skip
    gap = compare_with_torch(model, bundle, tokenizer, [p.title for p in mined.products[:64]])
    log.info("ONNX against torch: largest difference of a log-probability %.4f", gap)
    return bundle


def _manifest(mined: Mined, recipe: Recipe, measures: Mapping[str, float] | None = None) -> Manifest:
    """What a bundle says of itself before its export completes it."""
    serving = recipe.serving
    return Manifest(
        label=recipe.label, backbone="causal-lm" if recipe.causal else "compact", precision=recipe.precision,
        attributes=dict(mined.attributes), texts=tuple(mined.texts), title_codes=serving.title_codes,
        pair=serving.pair, gram_weight=serving.gram_weight, measures=measures or {}, source=recipe.source,
    )  # fmt: skip


@contextmanager
def _lap(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    log.info("stage: %s", stage)
    started = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - started, 1)
    log.info("stage %s: %.0f s", stage, seconds[stage])
