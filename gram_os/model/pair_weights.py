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
- A product type (c is "product_type=notebook") counts scale P^exponent of its own, P being the probability that the
  product is one, or that the query asks for one. Words say what a text mentions, this code says what it is about. Of a
  query that names no type all types count the sum of P^2 times: a brand alone says little about what is wanted.
- The words of a query that name the type that it asks for count `modifier` times, because the type counts for them.
- A generated code of a query counts `stray` times where no product of the types that the query asks for states its
  values, and in between where products of some of these types do.
- g: the weight of the granularity, for codes of one or two values, of three, and of more.
- A_s is at least `LEAST` and at most `MOST`, after all factors. The index refuses a document with a weight of 0 or of
  infinity, and it keeps five digits behind the point.

The score is a similarity, so larger is better: a weighted Chernoff coefficient of the two sides, which falls as the
divergence in the paper grows. It is a sum of products, so the cluster itself can add it up. docs/log.md has the other
readings of the paper that it was compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from gram_os.arrays import AnyFloats, BoolArray, FloatArray, Int8Array
from gram_os.text.code import Code

#: The bounds of a code's weight. `pack_weights` rounds to 1e-5, and the sum of a thousand products stays a float32.
LEAST: Final = 1e-4
MOST: Final = 1e6

#: Kinds of codes: an own value that the model knows, a generated code, an own value that the model does not know.
OWN, GENERATED, UNKNOWN = 0, 1, 2

_STEEPEST = 1e30  # larger exponents have the same effect, and their products would leave float32


class Emphasis(BaseModel):
    """Scale (P / P*)^exponent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    exponent: float = Field(0.0, ge=0, allow_inf_nan=False)


class SideWeights(BaseModel):
    """What one side's codes weigh."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    own: Emphasis = Emphasis()
    generated: Emphasis = Emphasis()
    unknown: float = Field(1.0, gt=0, allow_inf_nan=False)
    number: float = Field(1.0, gt=0, allow_inf_nan=False)
    phrase: float = Field(1.0, gt=0, allow_inf_nan=False)
    modifier: float = Field(1.0, gt=0, allow_inf_nan=False)
    stray: float = Field(1.0, gt=0, allow_inf_nan=False)
    type: Emphasis = Emphasis(exponent=0.5)
    length_exponent: float = Field(0.0, ge=0, allow_inf_nan=False)

    def weigh(
        self,
        codes: Sequence[Code],
        probabilities: Sequence[Sequence[float] | None],
        own: Sequence[bool],
    ) -> list[float]:
        """Weigh a text's codes: `LEAST` to `MOST` each.

        probabilities: of each code's values, None for an own value that the model does not know. own: whether the text
        itself states the code.

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
        values = [code.values[0] if is_own else "" for code, is_own in zip(codes, own, strict=True)]
        kinds = [UNKNOWN if at is None else OWN if is_own else GENERATED for at, is_own in zip(logs, own, strict=True)]
        weights = self.weigh_kinds(
            np.array(kinds, np.int8),
            np.array([0.0 if value is None else value - best for value in logs]),
            numbers=np.array([is_number(value) for value in values], np.bool_),
            phrases=np.array([is_phrase(value) for value in values], np.bool_),
            lengths=np.full(len(codes), max(1, sum(own)), np.float32),
        )
        return [float(weight) for weight in weights]

    def weigh_type(self, probability: float) -> float:
        """Weigh a product type of a text: `LEAST` to `MOST`."""
        return min(max(self.type.scale * float(probability**self.type.exponent), LEAST), MOST)

    def weigh_kinds(
        self, kinds: Int8Array, log_ratios: AnyFloats, *, numbers: BoolArray, phrases: BoolArray, lengths: FloatArray
    ) -> AnyFloats:
        """Weigh codes, also those of several texts, with one entry a code in each array: `LEAST` to `MOST` each.

        kinds: `OWN`, `GENERATED` or `UNKNOWN`. log_ratios: ln(P / P*), 0 for an unknown value. numbers, phrases: which
        codes are one word with a digit, and which are several words; both are ignored for generated codes. lengths: the
        number of own values of the code's text, at least 1. The answer is of the type of `log_ratios`.
        """
        precision = log_ratios.dtype.type
        scales = np.log([self.own.scale, self.generated.scale, self.unknown]).astype(precision)
        exponents = np.minimum([self.own.exponent, self.generated.exponent, 0.0], _STEEPEST).astype(precision)
        logarithms = scales[kinds] + exponents[kinds] * log_ratios
        is_own = kinds != GENERATED
        for factor, some in ((self.number, numbers), (self.phrase, phrases)):
            if factor != 1:
                logarithms += precision(log(factor)) * (is_own & some)
        if self.length_exponent:
            logarithms -= precision(min(self.length_exponent, _STEEPEST)) * np.log(lengths)
        weights: AnyFloats = np.clip(np.exp(np.minimum(logarithms, log(MOST))), LEAST, MOST)
        return weights


def is_number(value: str) -> bool:
    """Return whether a value is one word with a digit: a count, a model number, a measure without its unit."""
    return " " not in value and any(map(str.isdigit, value))


def is_phrase(value: str) -> bool:
    """Return whether a value has several words. A measure with its unit has."""
    return " " in value


class PairWeights(BaseModel):
    """All parameters of the pair score.

    The defaults are for a model that was trained without clicks. Scales, iota and `modifier` were chosen on 62 head
    queries of the sample catalogue and 50 queries of ESCI, each with a model of its own catalogue. The exponents of
    own values, of generated codes and of lengths are those of a fit on Home Depot's train queries (docs/log.md).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: SideWeights = SideWeights(
        own=Emphasis(exponent=0.01),
        generated=Emphasis(scale=0.12, exponent=0.5),
        unknown=0.8,
        phrase=0.3,
        modifier=0.2,
        stray=0.2,
        type=Emphasis(scale=0.36, exponent=0.5),
    )
    title: SideWeights = SideWeights(
        own=Emphasis(exponent=0.01), generated=Emphasis(scale=0.35, exponent=0.45), length_exponent=0.17
    )
    idf_exponent: float = Field(0.4, ge=0, allow_inf_nan=False)
    # coarse (1-2 values), medium (3), fine (more)
    granularity: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (1.0, 1.0, 1.0)

    def of_length(self, values: int) -> float:
        """Return the granularity's weight of a code of so many values."""
        return self.granularity[0 if values <= 2 else 1 if values == 3 else 2]
