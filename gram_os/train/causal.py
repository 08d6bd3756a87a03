"""Supervised fine-tuning of a causal LM (GRAM section 3, the paper's form): L = L_q + lambda L_t.

Each side's loss is the negative log-likelihood of a code of each text, drawn by its share at every step, over the
code's tokens and the closing one; the prompt's tokens are read and not learned. Any Hugging Face causal LM with a fast
tokenizer will do. Knows nothing of ONNX.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from gram_os.attribute import Side
from gram_os.code_tokens import CodeTokeniser, TextTokeniser, Tokens
from gram_os.dictionary import AttributeDictionary
from gram_os.errors import InputError
from gram_os.prompts import PromptEncoder, pad_left, positions
from gram_os.train.sft import Example, batches
from gram_os.train.targets import Target


@dataclass(frozen=True, slots=True)
class CausalSettings:
    """Which causal LM is trained and how.

    model, gguf_file: as `load_causal` reads them; rate: AdamW's peak (the paper's); queries, titles: texts a step.
    """

    model: str
    gguf_file: str | None = None
    steps: int = 1200
    queries: int = 32
    titles: int = 16
    title_weight: float = 0.7  # lambda
    rate: float = 5e-5
    warm_up: float = 0.06
    seed: int = 0


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
        raise InputError(
            f"'{name}' has no fast tokenizer (tokenizer.json), which serving needs; choose another model"
        )
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"'{name}' has no end-of-text token, which closes a code; choose another model")
    return CausalSource(model.float(), Tokenizer.from_str(backend.to_str()), int(end))


def make_examples(
    source: CausalSource,
    dictionary: AttributeDictionary,
    texts: Sequence[str],
    targets: Sequence[Target],
    side: Side,
) -> list[Example]:
    """Prompts of the texts, and the targets, whose codes are the dictionary's tokens, in tokens of the LM."""
    prompts = PromptEncoder(source.tokenizer).encode(texts, side)
    written = _Writer(TextTokeniser(source.tokenizer, dictionary), dictionary)
    return [Example(ids, written.target(target)) for ids, target in zip(prompts, targets, strict=True)]


class _Writer:
    """Targets over values -> targets over the LM's tokens; each code is tokenised once."""

    def __init__(self, tokeniser: CodeTokeniser, dictionary: AttributeDictionary):
        self._tokeniser, self._dictionary = tokeniser, dictionary
        self._known: dict[Tokens, Tokens | None] = {}

    def target(self, target: Target) -> Target:
        """Codes that the LM cannot write give their share to the others."""
        pairs = [(self._write(code), share) for code, share in zip(target.codes, target.shares, strict=True)]
        kept = [(code, share) for code, share in pairs if code is not None]
        total = sum(share for _, share in kept)
        return replace(target, codes=tuple(c for c, _ in kept), shares=tuple(s / total for _, s in kept))

    def _write(self, code: Tokens) -> Tokens | None:
        if code not in self._known:
            self._known[code] = self._tokeniser.encode(self._dictionary.decode(code))
        return self._known[code]


def train_causal(
    source: CausalSource,
    queries: Sequence[Example],
    titles: Sequence[Example],
    settings: CausalSettings,
    *,
    report: Callable[[int, float], None] = lambda *_: None,
) -> None:
    """Train in place; examples are `make_examples`'s. `report` hears the loss of every step."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)  # noqa: S311
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="bf16")
    optimiser = torch.optim.AdamW(source.model.parameters(), lr=settings.rate, weight_decay=0.01)
    warm = max(1, int(settings.warm_up * settings.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min((s + 1) / warm, max(0.02, (settings.steps - s) / max(1, settings.steps - warm))),
    )
    model, optimiser = accelerator.prepare(source.model, optimiser)
    model.train()
    query_batches, title_batches = (
        batches(queries, settings.queries, rng),
        batches(titles, settings.titles, rng),
    )
    for step in range(settings.steps):
        with accelerator.autocast():
            loss = code_loss(model, next(query_batches), source.end, rng)
            loss = loss + settings.title_weight * code_loss(model, next(title_batches), source.end, rng)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        report(step, float(loss.detach()))
    # The forward that accelerate wrapped for bfloat16 must not reach the export.
    accelerator.unwrap_model(model, keep_fp32_wrapper=False).cpu().eval()


def code_loss(model: Any, batch: Sequence[Example], end: int, rng: random.Random) -> Tensor:
    """Mean over the batch of -ln P(code, end | prompt), of one code a text drawn by share."""
    codes = [rng.choices(example.target.codes, example.target.shares)[0] for example in batch]
    asked = max(map(len, codes)) + 1
    labels = torch.full((len(batch), asked), -1)
    for row, code in enumerate(codes):
        labels[row, asked - len(code) - 1 :] = torch.tensor([*code, end])
    logits = next_logits(model, [[*e.ids, *code] for e, code in zip(batch, codes, strict=True)], asked)
    labels = labels.to(logits.device)
    loss = functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-1, reduction="sum"
    )
    return loss / len(batch)


def next_logits(model: Any, rows: Sequence[Sequence[int]], asked: int) -> Tensor:
    """Logits after each of the last `asked` tokens of the rows, float (rows, asked, vocabulary).

    Rows are padded on the left, as in serving.
    """
    ids, mask = pad_left(rows)
    device = next(model.parameters()).device
    feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask)}
    accepted = inspect.signature(model.forward).parameters
    feeds = {name: torch.from_numpy(array).to(device) for name, array in feeds.items() if name in accepted}
    if "logits_to_keep" in accepted:  # spares the vocabulary's scores of the prompt
        feeds["logits_to_keep"] = asked
    logits: Tensor = model(**feeds, use_cache=False).logits
    return logits[:, -asked:]
