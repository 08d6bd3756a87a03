"""A causal LM in training: how it is loaded, and the log-probabilities that its losses need.

Any Hugging Face causal LM with a fast tokenizer will do. `objectives/causal_sft.py` has its fine-tuning. Knows
nothing of ONNX.
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

_CHUNK = 32  # prompts with a code that are read at once: each scored token has a number for the whole vocabulary


@dataclass(frozen=True, slots=True)
class CausalSettings:
    """Which causal LM is trained; model, gguf_file: see `load_causal`.

    The settings of its training are those of the compact backbone. Its rate is `decoder_rate` everywhere. The default
    of that is far too high for a language model (the paper uses 5e-5). `encoder_rate` and SFT's `drawn` do nothing
    here: a causal LM is one network, and one code of each text is drawn at a step.
    """

    model: str
    gguf_file: str | None = None

    def content(self) -> list[Path | str | None]:
        """Return what a stage that starts from the model depends on: a folder, by its content, or a name on the hub."""
        folder = Path(self.model)
        return [folder if folder.is_dir() else self.model, self.gguf_file]


@dataclass(frozen=True)
class CausalSource:
    """A causal LM: the transformers model, its tokenizer, and `end`, the token that closes a code."""

    model: Any
    tokenizer: Tokenizer
    end: int


def load_causal(name: str | Path, *, gguf_file: str | None = None) -> CausalSource:
    """Load a pretrained causal LM by its name on the hub, or from its folder; `gguf_file` names a GGUF file in it.

    Raises InputError when there is no such model, and when it has no fast tokenizer or no end-of-text token.
    """
    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{name}' cannot be read as a causal LM: {error}; give the name of one on the Hugging Face hub, or a "
            "folder with config.json, weights and tokenizer.json"
        ) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"'{name}' has no fast tokenizer (tokenizer.json), which serving needs; choose another model")
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"'{name}' has no end-of-text token, which closes a code; choose another model")
    nn.Module.float(model)  # transformers 5 has a float of its own, which refuses what was read from a GGUF file
    return CausalSource(model, Tokenizer.from_str(backend.to_str()), int(end))


class CausalModel(nn.Module):
    """A causal LM in training as `CodeModel`; its texts are prompts as token ids, its codes are in the LM's tokens."""

    def __init__(self, lm: Any):
        super().__init__()
        self.lm = lm

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        """See `CodeModel.log_probs`. Only the wanted pairs are read. `side` is not needed: the prompt contains it."""
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
        """Log-probabilities of the tokens of each prompt's one code, code after code: float (tokens,)."""
        # A code's last token is scored but not read, because nothing behind it is scored.
        rows = [[*prompt, *code[:-1]] for prompt, code in zip(prompts, codes, strict=True)]
        labels = pad_codes(codes)
        logits = next_logits(self.lm, rows, labels.shape[1])
        labels = labels.to(logits.device)
        scored = labels >= 0
        scores = functional.log_softmax(logits[scored].float(), -1)
        return scores.gather(1, labels[scored][:, None])[:, 0]


def pad_codes(rows: Sequence[Tokens]) -> Tensor:
    """Pad tokens with -1 on the left, as rows of prompts are padded: int64 (rows, longest)."""
    longest = max(map(len, rows))
    return torch.tensor([[-1] * (longest - len(row)) + list(row) for row in rows])


def next_logits(model: Any, rows: Sequence[Sequence[int]], count: int) -> Tensor:
    """Return the logits after each of the last `count` tokens of the rows: float (rows, count, vocabulary).

    Rows are padded on the left, as in serving.
    """
    ids, mask = pad_left(rows)
    logits: Tensor = model(**model_feeds(model, ids, mask, count), use_cache=False).logits
    return logits[:, -count:]


def model_feeds(model: Any, ids: IntArray, mask: IntArray, count: int) -> dict[str, Any]:
    """Return the keyword arguments of the model's forward, on its device; those that it does not take are left out.

    ids: int64 (rows, tokens), the newest tokens. mask: int64 (rows, tokens so far), the newest tokens last. count:
    after how many of the last tokens the logits are needed; the whole vocabulary is then not scored for the prompt.
    """
    feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask)[:, -ids.shape[1] :]}
    device = next(model.parameters()).device
    found: dict[str, Any] = {name: torch.from_numpy(array).to(device) for name, array in feeds.items()}
    found["logits_to_keep"] = count
    accepted = inspect.signature(model.forward).parameters
    return {name: value for name, value in found.items() if name in accepted}
