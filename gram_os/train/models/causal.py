"""Supervised fine-tuning of a causal LM (GRAM section 3, the paper's form): L = L_q + lambda L_t.

Each side's loss is the negative log-likelihood of a code of each text, drawn by its share at every step, over the
code's tokens and the closing one; the prompt's tokens are read and not learned. Any Hugging Face causal LM with a fast
tokenizer will do. Knows nothing of ONNX.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from gram_os.arrays import IntArray
from gram_os.errors import InputError
from gram_os.model.prompts import pad_left, positions
from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.models.encoder import length_buckets

_CHUNK = 32  # prompts with a code that are read at once: each token asked for is scored over the whole vocabulary


@dataclass(frozen=True, slots=True)
class CausalSettings:
    """Which causal LM is trained; model, gguf_file: as `load_causal` reads them.

    How it is trained stands where the compact backbone's training does. Its rate is `decoder_rate` everywhere, which by
    default is far too high for a language model (the paper's is 5e-5). `encoder_rate`, and SFT's `drawn` and
    `tagging_weight`, mean nothing for it: it is one network, one code of a text is drawn at a step, and it has no tags
    to keep.
    """

    model: str
    gguf_file: str | None = None

    def origin(self) -> list[Path | str | None]:
        """What a stage that starts from the model depends on: a folder by its content, a name on the hub by itself."""
        folder = Path(self.model)
        return [folder if folder.is_dir() else self.model, self.gguf_file]


@dataclass(frozen=True)
class CausalSource:
    """A causal LM: the transformers model, its tokenizer, and the token that closes a code."""

    model: Any
    tokenizer: Tokenizer
    end: int


def load_causal(name: str | Path, *, gguf_file: str | None = None) -> CausalSource:
    """A pretrained causal LM by its name on the hub or its folder; `gguf_file` names a GGUF file in it.

    Raises InputError when there is no such model, or when it has no fast tokenizer or no end-of-text token.
    """
    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{name}' cannot be read as a causal LM: {error}; give the name of one on the Hugging Face hub, or a folder "
            "with config.json, weights and tokenizer.json"
        ) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"'{name}' has no fast tokenizer (tokenizer.json), which serving needs; choose another model")
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"'{name}' has no end-of-text token, which closes a code; choose another model")
    return CausalSource(model.float(), Tokenizer.from_str(backend.to_str()), int(end))


class CausalModel(nn.Module):
    """A causal LM in training as `CodeModel`: its texts are prompts as token ids, its codes are the LM's tokens."""

    def __init__(self, lm: Any):
        super().__init__()
        self.lm = lm

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        """`CodeModel.log_probs`; `side` says nothing that a prompt does not. Only the wanted pairs are read."""
        del side
        pairs: list[list[int]] = wanted.nonzero().tolist()
        found, places = [], []
        for chunk in length_buckets([len(texts[text]) + len(codes[code]) for text, code in pairs], _CHUNK):
            read = [pairs[at] for at in chunk]
            found.append(self._tokens([texts[text] for text, _ in read], [codes[code] for _, code in read]))
            places += [(text, code, at) for text, code in read for at in range(len(codes[code]))]
        shape = (len(texts), len(codes), max(map(len, codes)))
        answer = torch.zeros(shape, device=next(self.lm.parameters()).device)
        if not places:
            return answer
        where = torch.tensor(places, device=answer.device).unbind(1)
        return answer.index_put(where, torch.cat(found))

    def _tokens(self, prompts: Sequence[Sequence[int]], codes: Sequence[Tokens]) -> Tensor:
        """Log-probabilities of the tokens of one code a prompt, one code after the other: float (tokens,)."""
        # A code's last token is asked for and not read: what follows it is nobody's question.
        rows = [[*prompt, *code[:-1]] for prompt, code in zip(prompts, codes, strict=True)]
        labels = pad_codes(codes)
        logits = next_logits(self.lm, rows, labels.shape[1])
        labels = labels.to(logits.device)
        asked = labels >= 0
        scores = functional.log_softmax(logits[asked].float(), -1)
        return scores.gather(1, labels[asked][:, None])[:, 0]


def pad_codes(rows: Sequence[Tokens]) -> Tensor:
    """Tokens as int64 (rows, longest), -1 before the shorter ones, as rows are padded on the left."""
    longest = max(map(len, rows))
    return torch.tensor([[-1] * (longest - len(row)) + list(row) for row in rows])


def next_logits(model: Any, rows: Sequence[Sequence[int]], asked: int) -> Tensor:
    """Logits after each of the last `asked` tokens of the rows, float (rows, asked, vocabulary).

    Rows are padded on the left, as in serving.
    """
    ids, mask = pad_left(rows)
    logits: Tensor = model(**model_feeds(model, ids, mask, asked), use_cache=False).logits
    return logits[:, -asked:]


def model_feeds(model: Any, ids: IntArray, mask: IntArray, asked: int) -> dict[str, Any]:
    """What the model's forward is given, on its device, of what its forward knows.

    ids: int64 (rows, tokens); mask: int64 (rows, tokens so far), these tokens the last ones; asked: of how many of the last
    tokens the logits are wanted, which spares the vocabulary's scores of the prompt.
    """
    feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask)[:, -ids.shape[1] :]}
    device = next(model.parameters()).device
    found: dict[str, Any] = {name: torch.from_numpy(array).to(device) for name, array in feeds.items()}
    found["logits_to_keep"] = asked
    accepted = inspect.signature(model.forward).parameters
    return {name: value for name, value in found.items() if name in accepted}
