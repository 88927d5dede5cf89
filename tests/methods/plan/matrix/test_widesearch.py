"""Tables are scored as WideSearch scores them, in cases that were counted by hand, and under everything that must not matter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw
from headway.methods.plan.matrix import (
    Column,
    Marking,
    Marks,
    Table,
    TableScore,
    judge_table,
    read_table,
    score_table,
    score_trials,
    write_table,
)
from headway.methods.plan.matrix.cells import date_near, exact_match, extract_number, in_match, norm_date, number_near, url_match

GOLD = Table(("country", "capital", "area"), (("Italy", "Rome", 300), ("Malta", "Valletta", 316), ("Fiji", "Suva", 18)))
JUDGED = Marking({"country": Column(), "capital": Column("judge"), "area": Column()}, ("country",))
MARKING = Marking({"country": Column(), "capital": Column(), "area": Column("number_near", 0.1)}, ("country",))


def test_a_table_that_is_right_succeeds_in_every_measure():
    score = score_table(GOLD, GOLD, MARKING)
    assert score == TableScore(True, Marks(1, 1), Marks(1, 1))


def test_a_row_counts_as_its_worst_cell_and_items_each_of_their_own():
    said = Table(GOLD.columns, (("Italy", "Rome", 310), ("Malta", "Mdina", 316)))
    score = score_table(said, GOLD, MARKING)
    assert score.rows == Marks(1 / 2, 1 / 3)  # Italy is right in whole; Malta's capital is not
    assert score.items == Marks(5 / 6, 5 / 9)
    assert not score.success
    assert score.items.f1 == pytest.approx(2 / 3)


def test_rows_that_nobody_asked_for_cost_precision_alone():
    said = Table(GOLD.columns, (*GOLD.rows, ("Atlantis", "Poseidonis", 1)))
    score = score_table(said, GOLD, MARKING)
    assert score.rows == Marks(3 / 4, 1)
    assert score.items == Marks(9 / 12, 1)


def test_of_rows_with_one_key_the_first_counts_and_the_others_are_dropped():
    said = Table(GOLD.columns, (*GOLD.rows, ("italy ", "Milan", 300)))
    assert score_table(said, GOLD, MARKING).success
    turned = Table(GOLD.columns, (("italy ", "Milan", 300), *GOLD.rows))
    assert score_table(turned, GOLD, MARKING).rows == Marks(2 / 3, 2 / 3)


@pytest.mark.parametrize(
    "columns", [("country", "capital"), ("country", "capital", "size"), ("country", "capital", "area", "note")]
)
def test_another_set_of_columns_is_worth_nothing_at_all(columns):
    said = Table(columns, (tuple("abcd"[: len(columns)]),))
    score = score_table(said, GOLD, MARKING)
    assert (score.rows, score.items, score.success) == (Marks(), Marks(), False)
    assert "required are country, capital, area" in score.why


def test_two_columns_of_one_name_are_another_set():
    said = Table(("country", "Area", "area", "capital"), (("Italy", 300, 300, "Rome"),))
    assert score_table(said, GOLD, MARKING).why


def test_no_table_is_worth_nothing():
    assert score_table(None, GOLD, MARKING) == TableScore(why="there is no table")
    assert score_table(Table(GOLD.columns), GOLD, MARKING).items == Marks()


def test_columns_are_found_by_normalised_names_and_by_what_a_model_calls_them():
    said = Table((" Country", "CAPITAL", "Size in km2"), GOLD.rows)
    assert not score_table(said, GOLD, MARKING).success
    assert score_table(said, GOLD, MARKING, rename={"size in KM2": "Area"}).success


def test_keys_are_found_by_what_a_model_calls_them():
    said = Table(GOLD.columns, (("Republic of Fiji", "Suva", 18), *GOLD.rows[:2]))
    assert score_table(said, GOLD, MARKING).rows.recall == 2 / 3
    assert score_table(said, GOLD, MARKING, same={"Country": {"Republic of Fiji": "Fiji"}}).success


def test_a_number_that_was_written_as_text_is_the_number():
    said = Table(GOLD.columns, (("Italy", "Rome", "300.0"), ("Malta", "Valletta", "316.00"), ("Fiji", "Suva", "18")))
    exact = Marking({"country": Column(), "capital": Column(), "area": Column()}, ("country",))
    assert score_table(said, GOLD, exact).success


def test_an_equal_table_succeeds_though_a_judge_marks_it_down():
    score = score_table(GOLD, GOLD, JUDGED, judge=lambda name, pairs, rule: [0.0] * len(pairs))
    assert score.success
    assert score.rows == Marks(0, 0)


def test_a_judge_is_shown_what_was_said_what_is_right_and_the_rule():
    asked = []

    def judge(name, pairs, rule):
        asked.append((name, pairs, rule))
        return [0.5] * len(pairs)

    marking = Marking({"country": Column(), "capital": Column("judge", rule="cities"), "area": Column()}, ("country",))
    score = score_table(Table(GOLD.columns, (("Italy", "Roma", 300),)), GOLD, marking, judge=judge)
    assert asked == [("capital", [("roma", "rome")], "cities")]
    assert score.rows == Marks(0.5, 0.5 / 3)


@hw.task
async def judge(column: str, pairs: list[tuple[str, str]], rule: str) -> list[float]:
    return [float(said[0] == right[0]) for said, right in pairs]


@hw.task
async def judged(said: Table) -> TableScore:
    return await judge_table(said, GOLD, JUDGED, judge)


def test_a_judge_that_is_a_task_is_a_call_and_is_asked_once_for_each_column(go, tmp_path):
    said = Table(GOLD.columns, (("Italy", "Roma", 300), ("Malta", "Mdina", 316), ("Fiji", "Suva", 18)))
    assert go(judged, said).rows == Marks(2 / 3, 2 / 3)
    assert len(hw.view("run", store=tmp_path / "store").find("judge")) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz"), st.integers(1, 3)), max_size=8), st.randoms())
def test_marks_are_shares_and_the_order_of_rows_and_columns_is_nothing(rows, rng):
    gold = Table(("k", "v", "n"), (("a", "x", 1), ("b", "y", 2), ("c", "z", 3)))
    marking = Marking({"k": Column(), "v": Column(), "n": Column()}, ("k",))
    unique = list({row[0]: row for row in rows}.values())
    score = score_table(Table(("k", "v", "n"), tuple(unique)), gold, marking)
    for marks in (score.rows, score.items):
        assert 0 <= min(marks.precision, marks.recall, marks.f1) <= max(marks.precision, marks.recall, marks.f1) <= 1
    assert score.rows.recall <= score.items.recall
    assert score.success == (sorted(unique) == sorted(gold.rows))
    order = [0, 1, 2]
    rng.shuffle(order)
    rng.shuffle(unique)
    turned = Table(tuple("kvn"[at] for at in order), tuple(tuple(row[at] for at in order) for row in unique))
    assert score_table(turned, gold, marking) == score


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_precision_and_recall_are_counted_as_sets_are(gold, right, wrong):
    right = min(right, gold)
    said = [(str(number), "v") for number in range(right)] + [(f"x{number}", "v") for number in range(wrong)]
    marking = Marking({"k": Column(), "v": Column()}, ("k",))
    table = Table(("k", "v"), tuple((str(number), "v") for number in range(gold)))
    score = score_table(Table(("k", "v"), tuple(said)), table, marking)
    assert score.rows == score.items == Marks(right / (right + wrong) if said else 0.0, right / gold)


@pytest.mark.parametrize(
    ("said", "gold", "share", "near"),
    [("105", "100", 0.05, 1), ("106", "100", 0.05, 0), ("50%", "0.5", 0.0, 1), ("n/a", "n/a", 0.0, 1), ("n/a", "5", 1.0, 0)],
)
def test_a_number_is_near_by_a_share_of_the_right_one(said, gold, share, near):
    assert number_near(said, gold, share) == near


@pytest.mark.parametrize(
    ("said", "gold", "near"),
    [
        ("15 April 1912", "1912-05-16", 1),
        ("15 April 1912", "1912-05-17", 0),
        ("April 1912", "1912年4月30日", 1),
        ("unknown", "1912", 0),
        ("unknown", "never", 1),
    ],
)
def test_a_date_is_near_within_31_days(said, gold, near):
    assert date_near(said, gold, 0.0) == near


def test_the_other_metrics_and_preparations_are_those_of_the_authors():
    assert exact_match("ROME", "rome", 0) == 1
    assert in_match("rome", "rome and milan", 0) == 1
    assert url_match("see https://a.org/x", "https://a.org/y", 0) == 1
    assert url_match("https://a.org", "https://b.org", 0) == 0
    assert [extract_number(text) for text in ("1,234.5 km", "none", "12% of it")] == ["1234.5", "NULL", "12%"]
    assert [norm_date(text) for text in ("May 2, 2020", "2020", "soon")] == ["2020-05-02", "2020-01-01", "soon"]


def test_several_tries_are_summed_up_as_means_bests_and_passes():
    half = TableScore(False, Marks(0.5, 0.5), Marks(1, 0.5))
    right = TableScore(True, Marks(1, 1), Marks(1, 1))
    found = score_trials([[half, right], [TableScore(), half]])
    assert found.success == 0.25
    assert found.row_f1 == pytest.approx((0.5 + 1 + 0 + 0.5) / 4)
    assert found.best_row_f1 == pytest.approx((1 + 0.5) / 2)
    assert found.passed == 0.5
    with pytest.raises(hw.UsageError, match="give each the same number"):
        score_trials([[half], [half, right]])


def test_a_table_is_read_from_a_fence_or_from_its_strokes():
    plain = "It is:\n\n| City | Area |\n|:--|--:|\n| Rome | 1285 |\n| Bern |\nand so on"
    assert read_table(plain) == Table(("City", "Area"), (("Rome", "1285"), ("Bern", None)))
    fenced = "| not | this |\n| a | b |\n```markdown\n|City|\n|---|\n|Rome|\n```"
    assert read_table(fenced) == Table(("City",), (("Rome",),))
    assert read_table("no table | here") is None
    assert read_table("| a | b |\n|---|---|\n| 1 | 2 | 3 |") is None


@given(
    st.lists(st.lists(st.text("ab c1.", min_size=1).map(str.strip).filter(bool), min_size=2, max_size=2), min_size=1, max_size=4)
)
def test_what_is_written_is_read_again(rows):
    table = Table(("k", "v"), tuple(tuple(" ".join(cell.split()) for cell in row) for row in rows))
    assert read_table(write_table(table)) == table


def test_a_real_table_is_marked_down_by_what_is_taken_from_it():
    atlas = pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
    with atlas.Atlas() as opened:
        countries = [each for each in opened.countries() if each.capital is not None and each.area_km2][:60]
    rows = tuple((each.name, each.capital.name, each.area_km2, "; ".join(one.name for one in each.languages)) for each in countries)
    gold = Table(("country", "capital", "area", "languages"), rows)
    near = Column("number_near", 0.02, ("extract_number",))
    marking = Marking({"country": Column(), "capital": Column(), "area": near, "languages": Column()}, ("country",))
    assert score_table(read_table(write_table(gold)), gold, marking).success
    kept = random.Random(1).sample(range(len(rows)), 45)
    less = Table(
        gold.columns,
        tuple(
            (name, capital, area * 1.5 if at % 5 == 0 else area, spoken)
            for at in kept
            for name, capital, area, spoken in [rows[at]]
        ),
    )
    wrong = sum(at % 5 == 0 for at in kept)
    score = score_table(less, gold, marking)
    assert score.rows == Marks((45 - wrong) / 45, (45 - wrong) / 60)
    assert score.items == Marks((180 - wrong) / 180, (180 - wrong) / 240)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Column("bleu"), "metric='bleu'"),
        (lambda: Column("number_near", float("nan")), "criterion=nan"),
        (lambda: Column(prepared=("strip",)), "prepared has 'strip'"),
        (lambda: Marking({}, ("a",)), "at least one"),
        (lambda: Marking({"a": Column(), " A": Column()}, ("a",)), "none twice"),
        (lambda: Marking({"a": Column()}, ()), "one or more of the columns"),
        (lambda: Marking({"a": Column()}, ("b",)), "one or more of the columns"),
        (lambda: Table(("a",), (("x", "y"),)), "row 0 has 2 cells"),
        (lambda: score_table(GOLD, Table(("country",), (("Fiji",),)), MARKING), "gold has the columns"),
        (lambda: score_table(GOLD, Table(GOLD.columns), MARKING), "gold has no rows"),
        (lambda: score_table(GOLD, GOLD, JUDGED), "give judge="),
        (
            lambda: score_table(
                GOLD, GOLD, JUDGED, judge=lambda *_: [1.0]
            ),
            "1 marks for 3 cells",
        ),
        (
            lambda: score_table(
                GOLD, GOLD, JUDGED, judge=lambda *_: [50.0] * 3
            ),
            "a number from 0 to 1",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(wrong, says):
    with pytest.raises(hw.UsageError, match=says):
        wrong()
