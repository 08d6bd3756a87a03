"""Supervised fine-tuning of a causal LM (GRAM section 3, the paper's form): L = L_q + lambda L_t.

At every step one code of each text is drawn by its share. A side's loss is the negative log-likelihood of that code,
over its tokens and the closing token. The prompt's tokens are read, but the loss does not count them. Knows nothing
of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from gram_os.train.loop.training_loop import Journal, LoopSettings, RateGroup, run_loop
from gram_os.train.models.causal import CausalSource, next_logits, pad_codes
from gram_os.train.objectives.sft import DrawnTexts, Example, SftBatch, SftSettings, draw_batches


class _CausalObjective(nn.Module):
    """L_q + lambda L_t, with one code a text."""

    def __init__(self, source: CausalSource, title_weight: float):
        super().__init__()
        self.lm = source.model
        self._end, self._title_weight = source.end, title_weight

    def forward(self, batch: SftBatch) -> dict[str, Tensor]:
        """Return the losses of both sides, and their weighted sum as "loss"."""
        query = code_loss(self.lm, batch.queries, self._end)
        title = code_loss(self.lm, batch.titles, self._end)
        return {"loss": query + self._title_weight * title, "query": query, "title": title}


def train_causal(
    source: CausalSource,
    queries: Sequence[Example],
    titles: Sequence[Example],
    settings: SftSettings,
    *,
    journal: Journal | None = None,
) -> None:
    """Train in place; the examples hold prompts and codes in the LM's tokens.

    `CausalSettings` says which settings count. Raises InputError where no text of a side has a code.
    """
    run_loop(
        _CausalObjective(source, settings.title_weight),
        [RateGroup(list(source.model.parameters()), settings.decoder_rate)],
        lambda seed: draw_batches(queries, titles, (settings.queries, settings.titles), drawn=1, seed=seed),
        LoopSettings(settings.steps, warm_up=settings.warm_up, seed=settings.seed),
        journal=journal,
    )


def code_loss(model: Any, texts: DrawnTexts, end: int) -> Tensor:
    """Return the mean over the texts of -ln P(code, end | prompt), for the one code that was drawn for each text."""
    codes = [code for (code,) in texts.codes]
    rows = [[*example.ids, *code] for example, code in zip(texts.examples, codes, strict=True)]
    labels = pad_codes([(*code, end) for code in codes])
    logits = next_logits(model, rows, labels.shape[1])
    loss = functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.to(logits.device).flatten(), ignore_index=-1, reduction="sum"
    )
    return loss / len(codes)
