"""The relevance model: AUC by hand, pairs by hand, and a tiny cross-encoder that learns, resumes and is read back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from transformers import BertConfig, BertModel, BertTokenizerFast

from gram_os.errors import BundleError, InputError
from gram_os.train.models.relevance_model import (
    GradedPair,
    RelevanceModel,
    RelevanceSettings,
    auc,
    draw_negatives,
    load_relevance_model,
    order_by_length,
    product_text,
    score,
    train_relevance_model,
)

WORDS = ["black", "cyan", "toner", "lamp", "xerox", "canon", "philips", "for", "the", "|"]
# A product is relevant when it holds the query's word: nothing that one side alone could tell.
KINDS = ("toner", "lamp")
PAIRS = [
    (f"{colour} {kind}", f"{brand} {other}", float(kind == other))
    for colour in ("black", "cyan")
    for kind in KINDS
    for brand in ("xerox", "canon", "philips")
    for other in KINDS
]


@dataclass(frozen=True, slots=True)
class Trained:
    model: RelevanceModel
    folder: Path
    losses: list[tuple[int, float]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT of two layers with a vocabulary of its own."""
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def _columns(pairs: Sequence[tuple[str, str, float]]) -> tuple[list[str], list[str], list[float]]:
    return [p[0] for p in pairs], [p[1] for p in pairs], [p[2] for p in pairs]


def _settings(start: str, **others: float) -> RelevanceSettings:
    chosen: dict[str, float] = {"epochs": 2, "batch": 4, "rate": 5e-3, "negatives": 0.0, **others}
    return RelevanceSettings(start=start, **chosen)  # type: ignore[arg-type]


def test_auc_by_hand() -> None:
    # Positives 3 and 1 against negatives 2 and 1: 3 > 2, 3 > 1, 1 < 2, and 1 = 1 counts half.
    assert auc([3, 1, 2, 1], [True, True, False, False]) == (1 + 1 + 0 + 0.5) / 4
    assert auc([5, 5, 5], [True, False, False]) == 0.5
    assert auc([1, 2, 3, 4], [True, True, False, False]) == 0.0


def test_auc_needs_both_kinds() -> None:
    with pytest.raises(InputError, match="2 positives and 0 negatives"):
        auc([1, 2], [True, True])


def test_product_text_adds_what_the_title_lacks() -> None:
    values = ["Xerox", "Black", "black", "Laser", "Ink"]
    assert product_text("XEROX toner", values, most=2) == "XEROX toner | Black | Laser"
    assert product_text("Toner", []) == "Toner"


def test_order_by_length_by_hand() -> None:
    lengths = [9, 1, 8, 2, 9, 1, 8]
    order = order_by_length(lengths, 2, random.Random(0))
    assert sorted(order) == list(range(7))
    # Only the last batch is short, and it holds the longest.
    assert sorted(tuple(sorted(lengths[i] for i in order[at : at + 2])) for at in (0, 2, 4)) == [
        (1, 1), (2, 8), (8, 9),
    ]  # fmt: skip
    assert lengths[order[6]] == 9


def test_negatives_are_irrelevant_and_never_a_given_pair() -> None:
    pairs = [GradedPair("a", "1", 1.0), GradedPair("b", "2", 0.5)]
    drawn = draw_negatives(pairs, 200, random.Random(0))
    assert {(p.query, p.text, p.relevance) for p in drawn} == {("a", "2", 0.0), ("b", "1", 0.0)}
    assert 60 < len(drawn) < 140  # half of the draws are given pairs


@pytest.fixture(scope="module")
def trained(start: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("relevance")
    losses: list[tuple[int, float]] = []
    model = train_relevance_model(
        *_columns(PAIRS),
        _settings(start, epochs=30),
        folder,
        report=lambda step, loss: losses.append((step, loss)),
    )
    return Trained(model, folder, losses)


def test_a_trained_model_tells_relevant_products(trained: Trained) -> None:
    queries, texts, relevances = _columns(PAIRS)
    found = score(trained.model, queries, texts)
    assert found.dtype == np.float32
    assert found.shape == (24,)
    assert auc(found, [r > 0.5 for r in relevances]) == 1.0
    # 24 pairs are 6 steps an epoch; the loss is told every 25 steps.
    assert [step for step, _ in trained.losses] == [25, 50, 75, 100, 125, 150, 175]
    assert trained.losses[-1][1] < 0.1 < trained.losses[0][1]


def test_a_model_read_back_says_the_same(trained: Trained) -> None:
    queries, texts, _ = _columns(PAIRS)
    again = load_relevance_model(trained.folder)
    assert np.array_equal(score(again, queries, texts), score(trained.model, queries, texts))
    assert not (trained.folder / "checkpoint").exists()


def test_scores_are_expected_relevances(start: str, tmp_path: Path) -> None:
    pairs = [("black toner", "xerox toner", 0.7)] * 8 + [("black lamp", "xerox toner", 0.2)] * 8
    model = train_relevance_model(*_columns(pairs), _settings(start, epochs=40, rate=3e-3), tmp_path)
    found = score(model, ["black toner", "black lamp"], ["xerox toner"] * 2)
    assert found.tolist() == pytest.approx([0.7, 0.2], abs=0.05)


def test_random_pairs_lower_what_no_rater_saw(start: str, tmp_path: Path) -> None:
    # Raters saw only good pairs, so that without negatives everything is good.
    pairs = [pair for pair in PAIRS if pair[2] == 1.0] * 2
    unseen = ["black toner", "cyan lamp"], ["canon lamp", "xerox toner"]
    without = train_relevance_model(*_columns(pairs), _settings(start, epochs=10), tmp_path / "without")
    with_ = train_relevance_model(*_columns(pairs), _settings(start, epochs=40, negatives=1.0), tmp_path / "with")
    assert score(without, *unseen).min() > 0.8
    assert score(with_, *unseen).max() < 0.5


def test_a_score_does_not_depend_on_its_neighbours(trained: Trained) -> None:
    queries = ["black toner", "lamp", "the cyan toner for canon"]
    texts = ["xerox toner black", "philips", "canon toner"]
    together = score(trained.model, queries, texts)
    alone = [float(score(trained.model, [q], [t])[0]) for q, t in zip(queries, texts, strict=True)]
    assert together.tolist() == pytest.approx(alone, abs=0.01)  # bfloat16
    assert score(trained.model, [], []).shape == (0,)


def test_long_texts_are_cut_at_the_most_tokens(start: str, tmp_path: Path) -> None:
    model = train_relevance_model(*_columns(PAIRS[:8]), _settings(start, most_tokens=8), tmp_path)
    # [CLS] toner [SEP] + 4 words + [SEP]: what comes after the fourth word is not read.
    texts = ["xerox black cyan toner lamp", "xerox black cyan toner canon canon canon"]
    first, second = score(model, ["toner"] * 2, texts).tolist()
    assert first == second != score(model, ["toner"], ["xerox black cyan lamp"])[0]


@pytest.mark.filterwarnings("ignore:mtime may not be reliable")  # checkpoints within one second
def test_a_killed_training_goes_on_to_the_same_model(start: str, tmp_path: Path) -> None:
    settings = _settings(start, epochs=12, negatives=0.5, checkpoint_steps=30)
    pairs = [pair for pair in PAIRS if pair[2] == 1.0] * 2  # 24, and about 6 negatives: 7 or 8 steps an epoch
    whole = train_relevance_model(*_columns(pairs), settings, tmp_path / "whole")

    def kill(step: int, loss: float) -> None:
        if step > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_relevance_model(*_columns(pairs), settings, tmp_path / "killed", report=kill)
    steps: list[int] = []
    again = train_relevance_model(
        *_columns(pairs), settings, tmp_path / "killed", report=lambda step, _: steps.append(step)
    )
    assert steps == [75]  # from checkpoint 60 on; fewer than 100 steps in all
    queries, texts, _ = _columns(pairs)
    assert score(again, queries, texts).tolist() == score(whole, queries, texts).tolist()


def test_more_pairs_than_wanted_are_drawn(start: str, tmp_path: Path) -> None:
    steps: list[int] = []
    train_relevance_model(
        *_columns(PAIRS * 100),
        _settings(start, epochs=1, most_pairs=208),
        tmp_path,
        report=lambda step, _: steps.append(step),
    )
    assert steps == [25, 50]  # 208 / 4 = 52 steps


def test_wrong_pairs_and_folders_are_told(start: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"relevance 2\.33 of 'a' and 'b' is not within 0\.\.1"):
        train_relevance_model(["a"], ["b"], [2.33], _settings(start), tmp_path)
    with pytest.raises(InputError, match="no pairs"):
        train_relevance_model([], [], [], _settings(start), tmp_path)
    with pytest.raises(BundleError, match="holds no relevance model"):
        load_relevance_model(tmp_path)
    with pytest.raises(InputError, match="2 queries and 1 texts"):
        score(RelevanceModel(None, None), ["a", "b"], ["c"])
