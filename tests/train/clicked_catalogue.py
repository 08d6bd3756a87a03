"""A catalogue of 96 products with what shoppers clicked in it, for runs of all stages."""

from __future__ import annotations

from pathlib import Path

import torch

from gram_os.catalogue import Product
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.models.encoder import load_encoder
from gram_os.train.models.tagger import TagHead, TagModel
from gram_os.train.models.tagger_checkpoint import save_checkpoint

KINDS = ["toner cartridge", "ink cartridge", "notebook", "usb cable", "headset", "webcam"]
BRANDS = ["xerox", "hp", "canon", "brother"]
COLOURS = ["black", "cyan", "magenta", "yellow"]
PRODUCTS = [
    Product(
        str(n),
        f"{BRANDS[n % 4]} {KINDS[n % 6]} {COLOURS[n // 6 % 4]} model{n // 24}",
        {"brand": BRANDS[n % 4], "colour": COLOURS[n // 6 % 4]},
    )
    for n in range(96)
]
# The same with a field that names what each product is.
TYPED = [Product(p.id, p.title, {**p.fields, "category": KINDS[int(p.id) % 6]}) for p in PRODUCTS]


def _click() -> Feedback:
    """Every kind and colour as a query; what is of both is clicked, what is of the kind alone is judged bad."""
    pairs = []
    for number in range(72):
        kind, colour = KINDS[number % 6], COLOURS[number // 6 % 4]
        query = f"{colour} {kind} {'for office' if number >= 24 else ''}{'s' if number >= 48 else ''}".strip()
        for product in PRODUCTS:
            if kind in product.title:
                good = colour in product.title
                pairs.append(Pair(query, product.id, float(good), good))
    return Feedback(tuple(pairs))


FEEDBACK = _click()


def save_untrained_tagger(folder: Path) -> Path:
    """Stage 1's result, but for the training."""
    torch.manual_seed(0)
    save_checkpoint(TagModel(load_encoder(), TagHead()), folder)
    return folder
