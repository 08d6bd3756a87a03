"""Head queries by rules: the reader, P@10, the rows, and the project's own rules and everyday words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.everyday_words import main as measure_everyday_words
from benchmarks.everyday_words import read_everyday_words
from benchmarks.head_queries import OWN_RULES, list_measures, measure_system
from benchmarks.head_rules import HeadRule, describe_product, precision, read_rules
from gram_os.catalogue import Product, read_products
from gram_os.data import sample_file
from gram_os.errors import FileFormatError
from gram_os.text.normalise import Normaliser

HEADER = "query_id\tkind\tquery\tis\tnot\taccepted\n"
LAMPS = {f"l{at}": "Desk lamp" for at in range(4)} | {f"s{at}": "Lamp shade" for at in range(9)}


def write_rules(folder: Path, *lines: str) -> Path:
    path = folder / "rules.tsv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def lamp_rule(folder: Path, accepted: int) -> HeadRule:
    (rule,) = read_rules(write_rules(folder, f"a1\ta\tlamp\tlamp\tSHADE\t{accepted}"))
    return rule


def test_a_text_is_the_title_and_the_known_fields_in_the_order_of_the_rules() -> None:
    fields = {
        "short_description": "LED\tand\nmore",
        "attr_t_type": ["Desk"],
        "attr_n_display_diagonal": 21.5,
        "price": 3,
        "attr_t_product_type": "Lamp",
    }
    assert describe_product(Product("1", "A\tB", fields)) == "A B\tpt=Lamp\tty=['Desk']\tdd=21.5\tsd=LED and more"


def test_a_rule_accepts_what_it_finds_and_does_not_refuse(tmp_path: Path) -> None:
    rule = lamp_rule(tmp_path, 4)
    assert rule.accepts("Desk LAMP")
    assert not rule.accepts("Lamp shade")  # `not` ignores case too
    assert not rule.accepts("Desk")
    open_rule, titled = read_rules(write_rules(tmp_path, "a1\ta\tx\tlamp\t\t1", "a2\ta\tx\t^[^\\t]*lamp\t\t1"))
    assert open_rule.accepts("Desk\tpt=Lamp shade")
    assert not titled.accepts("Desk\tpt=Lamp")


def test_precision_counts_right_products_of_the_first_ten(tmp_path: Path) -> None:
    found = ["l0", "s0", "l1", *(f"s{at}" for at in range(1, 8)), "l2"]  # l2 stands at rank 11
    assert precision(lamp_rule(tmp_path, 50), found, LAMPS) == 2 / 10
    assert precision(lamp_rule(tmp_path, 4), found, LAMPS) == 2 / 4
    assert precision(lamp_rule(tmp_path, 4), ["l0", "l0", "unknown"], LAMPS) == 1 / 4
    assert precision(lamp_rule(tmp_path, 4), [], LAMPS) == 0


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a1\ta\tlamp\tlamp\tshade", "line 2: 5 cells"),
        ("a1\ta\tlamp\tla(mp\t\t3", "is no regular expression"),
        ("a1\ta\tlamp\t\tshade\t3", "is empty"),
        ("a1\ta\tlamp\tlamp\t\tmany", "'many' is no number of 1 or more"),
        ("a1\ta\tlamp\tlamp\t\t0", "'0' is no number of 1 or more"),
        ("a1\ta\tx\tx\t\t1\na1\ta\ty\ty\t\t1", "line 3, field 'query_id': 'a1' is in an earlier line"),
    ],
)
def test_faults_of_a_rules_file_are_told_with_their_line(tmp_path: Path, line: str, fault: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_rules(write_rules(tmp_path, line))
    assert fault in str(caught.value)


def test_a_rules_file_has_its_header_and_a_rule(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="holds no rule"):
        read_rules(write_rules(tmp_path))
    (tmp_path / "bare.tsv").write_text("a1\ta\tlamp\tlamp\t\t3\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="first line names the columns"):
        read_rules(tmp_path / "bare.tsv")


def test_rows_have_a_mean_a_figure_a_kind_and_the_queries_with_nothing_right(tmp_path: Path) -> None:
    lines = ("a1\ta\tlamp\tlamp\tshade\t4", "b1\tb\tlight\tlamp\tshade\t2", "b2\tb\tshade\tshade\t\t9")
    rules = read_rules(write_rules(tmp_path, *lines))
    row = measure_system("gram", {"a1": ["l0", "s0"], "b1": ["l0", "l1"]}, rules, LAMPS)
    found = {m.name: (m.value, m.holds) for m in list_measures([row], rules, goals=True)}
    assert found == {
        "gram.P@10": ((1 / 4 + 2 / 2 + 0) / 3, False),
        "gram.P@10.a": (1 / 4, None),
        "gram.P@10.b": (1 / 2, None),
        "gram.nothing_right": (1, True),
    }
    assert {m.goal for m in list_measures([row], rules, goals=False)} == {None}
    bm25 = measure_system("bm25", {}, rules, LAMPS)
    assert {m.goal for m in list_measures([bm25], rules, goals=True)} == {None}


def test_own_rules_count_what_the_sample_catalogue_has() -> None:
    rules = read_rules(OWN_RULES)
    texts = [describe_product(product) for product in read_products(sample_file("products.jsonl.gz"))]
    sampled = rules[::5]  # all of them take half a minute
    counted = {rule.query_id: sum(map(rule.accepts, texts)) for rule in sampled}
    assert counted == {rule.query_id: rule.accepted for rule in sampled}
    assert len(rules) >= 40
    assert min(Counter(rule.kind for rule in rules).values()) >= 10
    assert len({rule.query for rule in rules}) == len(rules)


def test_no_title_of_the_sample_catalogue_holds_an_everyday_word() -> None:
    normaliser = Normaliser()
    titles = [f" {normaliser.value(p.title)} " for p in read_products(sample_file("products.jsonl.gz"))]
    everything = "\n".join(titles)
    words = read_everyday_words()
    assert [word.word for word in words if f" {normaliser.value(word.word)} " in everything] == []
    # Each means a thing that the catalogue sells under one of the given names.
    assert [w.word for w in words if not any(f" {normaliser.value(name)} " in everything for name in w.types)] == []
    assert len({word.word for word in words}) == len(words) == 40


def test_everyday_words_need_a_type(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("word\ttypes\nhob\tcooker|stove\n", encoding="utf-8")
    assert [(w.word, w.types) for w in read_everyday_words(tmp_path / "words.tsv")] == [("hob", ("cooker", "stove"))]
    for text in ("word\ttypes\nhob\n", "word\ttypes\nhob\tcooker|\n", "word\ttypes\n"):
        (tmp_path / "words.tsv").write_text(text, encoding="utf-8")
        with pytest.raises(FileFormatError):
            read_everyday_words(tmp_path / "words.tsv")


def test_everyday_words_are_measured_beside_minilm(capsys: pytest.CaptureFixture[str]) -> None:
    code = measure_everyday_words(["--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["measures"]}
    ours, published = rows["everyday_words.right_in_3"], rows["everyday_words.minilm_right_in_3"]
    assert 0.3 < ours["value"] < 1 and 0.3 < published["value"] < 1
    assert code == int(not ours["holds"])
