"""A linear classifier of product types that reads what is left of a product without the names in it.

It reads the vector of the title, own values, words of descriptions and which fields are filled. Knows products and
candidate names. Chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.arrays import FloatArray, IntArray
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.types.name_fit import Embed
from gram_os.train.types.titles import list_words, mask_title

_FOLDS, _EPOCHS, _BATCH, _RATE = 4, 5, 1024, 0.03
_LEAST_STEPS = 50  # the first steps are long: a small catalogue is read more than `_EPOCHS` times
_LEAST_HELD: Final = 3  # products that hold a value, before it is a feature
_RANK = 320  # dimensions of a product's words
_TEXTS = 0.5  # of a value in a description, beside 1 of a value in a title or a field
_MISTAKEN = 0.1  # P that the classifier is plainly wrong; so a name at the best place is rarely overruled


def read_context(
    mined: MinedCatalogue, names: Sequence[Set[str]], texts: sparse.csr_matrix, embed: Embed
) -> FloatArray:
    """Return what is left of each product without its names: float32 (products, any).

    The vector of the title, and the product's words and filled fields in `_RANK` dimensions.
    """
    masks = [list_words(row, mined.normaliser) for row in names]
    titles = [product.title for product in mined.products]
    vectors = embed([mask_title(title, mask, mined.normaliser) for title, mask in zip(titles, masks, strict=True)])
    fields = sorted({name for product in mined.products for name in product.fields})
    at = {name: column for column, name in enumerate(fields)}
    rows = [sorted(at[name] for name in product.fields) for product in mined.products]
    filled = sparse.csr_matrix(
        (np.ones(sum(map(len, rows)), np.float32), np.concatenate([np.array(r, np.int32) for r in rows]),
         np.concatenate(([0], np.cumsum([len(r) for r in rows])))), shape=(len(rows), len(fields)),
    )  # fmt: skip
    values = _mask_values(mined.own, mined.columns, masks)
    words = sparse.hstack([values, _TEXTS * texts, filled], format="csr").astype(np.float32)
    held = np.asarray((words > 0).sum(0)).ravel()
    words = words[:, held >= _LEAST_HELD]
    words = words @ sparse.diags(np.sqrt(np.log(len(rows) / held[held >= _LEAST_HELD]) + 1e-3).astype(np.float32))
    length = np.sqrt(np.asarray(words.multiply(words).sum(1))).ravel()
    words = sparse.diags((1 / np.maximum(length, 1e-6)).astype(np.float32)) @ words
    found: FloatArray = np.hstack([vectors, 1.5 * _reduce(words, min(_RANK, *words.shape))]).astype(np.float32)
    return found


def _mask_values(values: sparse.csr_matrix, columns: Mapping[str, int], masks: Sequence[Set[str]]) -> sparse.csr_matrix:
    """Leave out each value that has a masked word of its product. values: float (products, columns)."""
    words = [frozenset(value.split()) for value in sorted(columns, key=columns.__getitem__)]
    kept = values.copy()
    for place, mask in enumerate(masks):
        span = slice(kept.indptr[place], kept.indptr[place + 1])
        kept.data[span] *= [mask.isdisjoint(words[column]) for column in kept.indices[span].tolist()]
    kept.eliminate_zeros()
    return kept


def _reduce(words: sparse.csr_matrix, rank: int) -> FloatArray:
    """Return the rows in `rank` dimensions that keep most of their inner products: float32 (rows, rank).

    A randomised range finder with one power iteration (arXiv 0909.4061, algorithm 4.4) projects the columns. An exact
    decomposition takes minutes here.
    """
    drawn = np.random.default_rng(0).standard_normal((words.shape[1], rank)).astype(np.float32)
    basis, _ = np.linalg.qr(words.T @ (words @ drawn))  # (columns, rank)
    reduced: FloatArray = words @ basis
    return reduced


def answer_types(features: FloatArray, chosen: IntArray, count: int) -> FloatArray:
    """Return ln P(type | product) of a classifier that has not learned from the product: float32 (products, count)."""
    folds = _fold(chosen)
    log_probs = np.empty((len(chosen), count), np.float32)
    for fold in range(_FOLDS):
        learned = (folds != fold) & (chosen >= 0)
        log_probs[folds == fold] = _predict(_fit(features[learned], chosen[learned], count), features[folds == fold])
    found: FloatArray = np.log((1 - _MISTAKEN) * np.exp(log_probs) + _MISTAKEN / max(count, 1))
    return found


def _fold(chosen: IntArray) -> IntArray:
    """Deal the products of each type to the folds in turn, so that a rare type is in all of them: int64 (products,)."""
    order = np.random.default_rng(0).permutation(len(chosen))
    folds = np.empty(len(chosen), np.int64)
    folds[order[np.argsort(chosen[order], kind="stable")]] = np.arange(len(chosen)) % _FOLDS
    return folds


def _fit(features: FloatArray, types: IntArray, count: int) -> nn.Linear:
    """Fit a softmax regression. The same data gives the same model.

    The decay of the weights is strong, so that its probabilities can be believed: at 1e-3 and a rate of 0.1 it said .94
    on average and was right in .76 of all cases.
    """
    torch.manual_seed(0)
    model = nn.Linear(features.shape[1], count)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=1.0)
    x, y = torch.from_numpy(features), torch.from_numpy(types)
    epochs = max(_EPOCHS, -(-_LEAST_STEPS // -(-len(x) // _BATCH)))
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - epoch / epochs)
        for rows in torch.split(torch.randperm(len(x)), _BATCH):
            loss: Tensor = functional.cross_entropy(8 * model(x[rows]), y[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return model


@torch.inference_mode()
def _predict(model: nn.Linear, features: FloatArray) -> FloatArray:
    found: FloatArray = functional.log_softmax(8 * model(torch.from_numpy(features)), -1).numpy()
    return found
