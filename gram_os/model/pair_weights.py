"""What a code weighs on either side of a pair: the parameters of the pair score, as a bundle keeps them.

The pair score (GRAM section 6) of a query q and a product t over the codes that both have is

    S(q, t) = sum over shared codes c of  g(|c|) idf(c)^iota A_q(c) A_t(c),    A_s(c) = scale (P_s(c) / P_s*)^exponent n_s^-length

n_s is the number of the text's own values: a product that says much says each of it less. P_s(c) is the geometric mean of
the probabilities that side s gives the code's values, P_s* the largest of that text's codes, and scale and exponent
differ between a text's own values and generated codes; a value that the model does not know counts `unknown`. An own
value that is one word with a digit ("20", "m18") counts `number` times, since numbers tell alike products apart, and one of
several words ("toner cartridge", "20 in") `phrase` times, since its words count by themselves already. g weighs the
granularity: codes of one or two values, of three, of more. This is a similarity, larger is better: a weighted Chernoff
coefficient of the two sides, which falls with the divergence that the paper prints. Because it is a sum of products, the
cluster itself adds it up (docs/log.md has the readings that it was compared with).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from gram_os.text.code import Code

_LEAST = 1e-4  # a weight below it would be lost in the index anyway


class Emphasis(BaseModel):
    """Scale (P / P*)^exponent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    exponent: float = Field(0.0, ge=0, allow_inf_nan=False)

    def at(self, log_ratio: float) -> float:
        """The weight at ln(P / P*)."""
        return max(_LEAST, self.scale * exp(self.exponent * log_ratio))


class SideWeights(BaseModel):
    """What one side's codes weigh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    own: Emphasis = Emphasis()
    generated: Emphasis = Emphasis()
    unknown: float = Field(1.0, gt=0, allow_inf_nan=False)
    number: float = Field(1.0, gt=0, allow_inf_nan=False)
    phrase: float = Field(1.0, gt=0, allow_inf_nan=False)
    length_exponent: float = Field(0.0, ge=0, allow_inf_nan=False)

    def weigh(
        self,
        codes: Sequence[Code],
        probabilities: Sequence[Sequence[float] | None],
        own: Sequence[bool],
    ) -> list[float]:
        """Weights of a text's codes: with the probabilities of each code's values (None: unknown), and whether the text says it.

        >>> side = SideWeights(own=Emphasis(scale=2), generated=Emphasis(scale=1, exponent=0.5), unknown=3, number=2)
        >>> codes = [Code((value,)) for value in ("red", "crimson", "x200")]
        >>> [round(weight, 3) for weight in side.weigh(codes, [[0.5], [0.125], None], [True, False, True])]
        [2.0, 0.5, 6.0]
        """
        logs = [
            None if values is None else sum(log(max(p, 1e-30)) for p in values) / len(values)
            for values in probabilities
        ]
        best = max((value for value in logs if value is not None), default=0.0)
        length = max(1, sum(own)) ** -self.length_exponent
        return [
            length
            * (self.unknown if value is None else (self.own if said else self.generated).at(value - best))
            * (self.trait(code.values[0]) if said else 1.0)
            for code, value, said in zip(codes, logs, own, strict=True)
        ]

    def trait(self, value: str) -> float:
        """What the form of an own value makes it count."""
        return (self.number if is_number(value) else 1.0) * (self.phrase if is_phrase(value) else 1.0)


def is_number(value: str) -> bool:
    """Whether a value is one word with a digit: a count, a model's number, a measure without its unit."""
    return " " not in value and any(map(str.isdigit, value))


def is_phrase(value: str) -> bool:
    """Whether a value is of several words, a measure with its unit among them."""
    return " " in value


class PairWeights(BaseModel):
    """All parameters of the pair score.

    The defaults are for a model without clicks: fitted on 760 train queries of Home Depot, of which the model had seen nothing
    but the catalogue (docs/log.md).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: SideWeights = SideWeights(
        own=Emphasis(exponent=0.01), generated=Emphasis(scale=0.08, exponent=0.5), unknown=0.8, phrase=0.3
    )
    title: SideWeights = SideWeights(
        own=Emphasis(exponent=0.01), generated=Emphasis(scale=0.7, exponent=0.45), length_exponent=0.17
    )
    idf_exponent: float = Field(0.6, ge=0, allow_inf_nan=False)
    granularity: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (
        1.0,
        1.0,
        1.0,
    )  # coarse (1-2 values), medium (3), fine (more)

    def of_length(self, values: int) -> float:
        """The granularity weight of a code of so many values."""
        return self.granularity[0 if values <= 2 else 1 if values == 3 else 2]
