"""The stages of product types: what each product is, what people call it, and the heads that answer for any text."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sparse
import torch
from safetensors.torch import load_file, save_file

from gram_os.arrays import FloatArray, IntArray
from gram_os.errors import InputError
from gram_os.text.attribute import Side
from gram_os.text.product_types import NO_TYPES, TypeVocabulary, read_types, write_types
from gram_os.train.artifacts import open_compact, open_mined
from gram_os.train.lessons.teach import other_texts, synthetic_queries
from gram_os.train.loop.processes import processes
from gram_os.train.models.encoder import QUERY_TOKENS, TITLE_TOKENS, embed, load_encoder, load_tokenizer
from gram_os.train.models.type_heads import TypeHeads, train_type_heads
from gram_os.train.stage_inputs import StageInputs, write_report
from gram_os.train.types.bridge import build_bridge
from gram_os.train.types.labelling import Categories, label_products
from gram_os.train.types.lessons import TypeLessons, make_lessons
from gram_os.train.types.lexicon import TypeLexicon, TypeSources
from gram_os.train.types.names import NameWords, split_names
from gram_os.train.types.taxonomy import read_taxonomy
from gram_os.train.types.thesaurus import read_thesaurus

log = logging.getLogger(__name__)

TYPES: Final = "product_types.tsv"
_LABELS, _HEADS = "labels.npz", "heads.safetensors"


@dataclass(frozen=True)
class LearnedTypes:
    """What the stage `types` found.

    types: int64 (products,), places in the vocabulary. vectors: float32 (types, width), where the heads start from.
    lessons: of queries.
    """

    vocabulary: TypeVocabulary
    types: IntArray
    vectors: FloatArray
    lessons: TypeLessons


def find_types(inputs: StageInputs, folder: Path) -> None:
    """The type of each product, the vocabulary of types, and the lessons of the type heads.

    A catalogue whose texts name no type has an empty vocabulary and no lessons. A warning says so.
    """
    mined, recipe = open_mined(inputs), inputs.recipe
    sources = TypeSources(
        read_taxonomy(recipe.types.taxonomy) if recipe.types.taxonomy else None,
        read_thesaurus(recipe.types.thesaurus) if recipe.types.thesaurus else None,
    )
    encoder, tokenizer = load_encoder(), load_tokenizer()

    def embed_names(texts: Any) -> FloatArray:
        return embed(encoder, tokenizer, list(texts), most=QUERY_TOKENS)

    def embed_titles(texts: Sequence[str]) -> FloatArray:
        return embed(encoder, tokenizer, texts, most=TITLE_TOKENS)

    titles = embed_titles([product.title for product in mined.products])
    lexicon = TypeLexicon(mined, sources, embed_names)
    categories = _name_categories(sources, mined, embed_names)
    labels = label_products(mined, lexicon, titles, other_texts(mined), embed_titles, categories)
    if not labels.names:
        log.warning("no product types were found: no title and no category field names one; the bundle has none")
        write_types(NO_TYPES, folder / TYPES)
        write_report(folder, {"types": 0, "named_products": 0.0, "category_fields": lexicon.category_fields})
        return
    vocabulary, bridge = build_bridge(labels, titles, sources, mined.normaliser, embed_names)
    queries = synthetic_queries(mined, recipe.synthesis.queries, recipe.synthesis.seed)
    words = [word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii() and len(word) > 3]
    lessons = make_lessons(
        vocabulary, bridge, sources, mined.normaliser, embed_names,
        made=[(query.text, int(labels.types[query.product])) for query in queries],
        words=words if recipe.synthesis.words else [],
    )  # fmt: skip
    write_types(vocabulary, folder / TYPES)
    lessons.save(folder)
    np.savez(folder / _LABELS, types=labels.types, vectors=bridge.type_vectors)
    write_report(
        folder,
        {"types": len(vocabulary), "named_products": round(float(np.mean(labels.named)), 4),
         "category_fields": lexicon.category_fields, "queries": len(lessons.queries)},
    )  # fmt: skip


def open_types(folder: Path) -> LearnedTypes | None:
    """Open what `find_types` left in a folder. None where it found no types.

    Raises InputError where somebody added lines to the table or took lines out of it: the type heads have learned which
    line means which type.
    """
    if not (folder / _LABELS).exists():
        return None
    with np.load(folder / _LABELS) as file:
        types, vectors = file["types"], file["vectors"]
    vocabulary = read_types(folder / TYPES)
    if len(vocabulary) != len(vectors):
        raise InputError(
            f"{folder / TYPES} has {len(vocabulary)} types, and the training found {len(vectors)}; change names, "
            f"broader types and synonyms only, or delete the folder {folder.name}, and the table is made anew"
        )
    return LearnedTypes(vocabulary, types, vectors, TypeLessons.load(folder))


def learn_types(inputs: StageInputs, folder: Path) -> None:
    """The type heads, over the encoder as the stages before left it. None where there are no types."""
    found = open_types(inputs.folder("types"))
    if found is None:
        return
    backbone = open_compact(inputs, inputs.folder("model"))
    settings, titles = inputs.recipe.types.heads, [product.title for product in open_mined(inputs).products]
    encoder = backbone.model.encoder.eval()
    vectors = {
        Side.QUERY: embed(encoder, backbone.tokenizer, found.lessons.queries, most=QUERY_TOKENS),
        Side.TITLE: embed(encoder, backbone.tokenizer, titles, most=TITLE_TOKENS),
    }
    rows = np.arange(len(titles))
    own = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, found.types)), (len(rows), len(found.vocabulary)))
    heads = TypeHeads(vectors[Side.TITLE].shape[1], len(found.vocabulary), settings.hidden)
    heads.initialise(found.vectors)
    losses = train_type_heads(
        heads, vectors, {Side.QUERY: found.lessons.targets, Side.TITLE: own},
        {Side.QUERY: found.lessons.weights, Side.TITLE: np.ones(len(titles), np.float32)}, settings,
    )  # fmt: skip
    log.info("type heads, losses %s", ", ".join(f"{loss:.4f}" for loss in losses))
    if processes().is_main_process:
        save_file(heads.state_dict(), folder / _HEADS)
        with torch.inference_mode():
            answers = heads(torch.from_numpy(vectors[Side.TITLE]), Side.TITLE).argmax(-1).numpy()
        write_report(folder, {"titles_with_their_type": round(float(np.mean(answers == found.types)), 4)})


def open_heads(folder: Path) -> TypeHeads | None:
    """Open the heads that `learn_types` left in a folder. None where there are no types."""
    if not (folder / _HEADS).exists():
        return None
    state = load_file(folder / _HEADS)
    types, width = state["types.0.weight"].shape
    heads = TypeHeads(width, types, state["into.0.weight"].shape[0])
    heads.load_state_dict(state)
    return heads.eval()


def _name_categories(sources: TypeSources, mined: Any, embed_names: Any) -> Categories | None:
    if sources.taxonomy is None:
        return None
    words = NameWords(category.name for category in sources.taxonomy)
    first = [mined.normaliser.value(split_names(category.name, words)[0]) for category in sources.taxonomy]
    return Categories(first, embed_names([category.name for category in sources.taxonomy]))
