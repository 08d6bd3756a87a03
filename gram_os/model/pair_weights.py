"""What a code weighs on either side of a pair: the parameters of the pair score, as a bundle keeps them.

The pair score (GRAM section 6) of a query q and a product t is a sum over their shared codes c:

    S(q, t) = sum of  g(|c|) idf(c)^iota A_q(c) A_t(c)
    A_s(c)  = scale (P_s(c) / P_s*)^exponent n_s^-length

- P_s(c): the geometric mean of the probabilities that side s gives the code's values. P_s*: the largest P_s of the
  text's codes. scale and exponent differ between own values and generated codes.
- n_s: the number of the text's own values. A product that states many values means each of them less.
- A value that the model does not know counts `unknown` in place of scale (P_s / P_s*)^exponent.
- An own value that is one word with a digit ("20", "m18") counts `number` times, because numbers distinguish similar
  products. An own value of several words ("toner cartridge", "20 in") counts `phrase` times: its words count too.
- g: the weight of the granularity, for codes of one or two values, of three, and of more.

The score is a similarity, so larger is better: a weighted Chernoff coefficient of the two sides, which falls as the
divergence in the paper grows. It is a sum of products, so the cluster itself can add it up. docs/log.md has the other
readings of the paper that it was compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from gram_os.text.code import Code

_LEAST = 1e-4  # the index cannot keep a smaller weight


class Emphasis(BaseModel):
    """Scale (P / P*)^exponent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    exponent: float = Field(0.0, ge=0, allow_inf_nan=False)

    def at(self, log_ratio: float) -> float:
        """Return the weight at log_ratio = ln(P / P*), at least `_LEAST`."""
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
        """Weigh a text's codes.

        probabilities: of each code's values, None for a code with unknown values. own: whether the text itself states
        the code.

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
            * (self.unknown if value is None else (self.own if is_own else self.generated).at(value - best))
            * (self.trait(code.values[0]) if is_own else 1.0)
            for code, value, is_own in zip(codes, logs, own, strict=True)
        ]

    def trait(self, value: str) -> float:
        """Return how many times an own value counts because of its form."""
        return (self.number if is_number(value) else 1.0) * (self.phrase if is_phrase(value) else 1.0)


def is_number(value: str) -> bool:
    """Return whether a value is one word with a digit: a count, a model number, a measure without its unit."""
    return " " not in value and any(map(str.isdigit, value))


def is_phrase(value: str) -> bool:
    """Return whether a value has several words. A measure with its unit has."""
    return " " in value


class PairWeights(BaseModel):
    """All parameters of the pair score.

    The defaults are for a model that was trained without clicks. They were fitted on 760 train queries of Home Depot;
    the model had seen the catalogue only (docs/log.md).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: SideWeights = SideWeights(
        own=Emphasis(exponent=0.01), generated=Emphasis(scale=0.08, exponent=0.5), unknown=0.8, phrase=0.3
    )
    title: SideWeights = SideWeights(
        own=Emphasis(exponent=0.01), generated=Emphasis(scale=0.7, exponent=0.45), length_exponent=0.17
    )
    idf_exponent: float = Field(0.6, ge=0, allow_inf_nan=False)
    # coarse (1-2 values), medium (3), fine (more)
    granularity: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (1.0, 1.0, 1.0)

    def of_length(self, values: int) -> float:
        """Return the granularity's weight of a code of so many values."""
        return self.granularity[0 if values <= 2 else 1 if values == 3 else 2]
