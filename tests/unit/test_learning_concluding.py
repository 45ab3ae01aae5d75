"""What a sample comes to: figures that fit each other, moves that are told once, a calibration of the newest leads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore import Ruleset, parse_ruleset
from leadscore.core.instants import DAY, format_instant
from leadscore.learning.calibration import Calibration
from leadscore.learning.concluding import BASE_CONVERSIONS, NEWEST_WEEKS, calibrate_newest, conclude
from leadscore.learning.facts import Facts
from leadscore.learning.samples import STEPS, Counts, Grouped, Pattern
from leadscore.learning.sampling import WEEK, Sample, Sampling

DOCUMENT: dict[str, Any] = {
    "goal": {"event": ["Bought"]},
    "tiers": [{"name": "hot", "from": 40}, {"name": "warm", "from": 20}, {"name": "cold"}],
    "criteria": [
        {"id": "trial", "group": "engagement", "event": {"event": ["Trial"]}, "points": 40, "half_life": "none"},
        {"id": "visit", "group": "engagement", "event": {"event": ["Visit"]}, "points": 20, "half_life": "none"},
    ],
}
RULES = parse_ruleset(DOCUMENT)
WEEK_0 = 2900
NOW = (WEEK_0 + 60) * WEEK
# The pattern and the score of a lead in each tier.
HOT, WARM, COLD = ((0, STEPS),), ((1, STEPS),), ()
TOGETHER = (*HOT, *WARM)
SCORES: Mapping[Pattern, float] = {TOGETHER: 60.0, HOT: 40.0, WARM: 20.0, COLD: 0.0}
Week = Mapping[Pattern, Counts]
# The usual one: hot leads convert at 30 %, warm ones at 10 %, cold ones at 2 %.
USUAL: Week = {HOT: Counts(100, 30), WARM: Counts(100, 10), COLD: Counts(100, 2)}
CENSORED: Week = {pattern: Counts(100, 0) for pattern in USUAL}
FALLEN: Week = {**USUAL, HOT: Counts(100, 5)}


def sample(weeks: Mapping[int, Week], rules: Ruleset = RULES, **more: Any) -> Sample:
    """Return the sample of leads by the week in which they were scored, counted from `WEEK_0`."""
    totals = {
        WEEK_0 + week: {SCORES[pattern]: counts for pattern, counts in rows.items()} for week, rows in weeks.items()
    }
    grouped = {WEEK_0 + week: Grouped(("trial", "visit"), dict(rows)) for week, rows in weeks.items()}
    return Sample(Sampling(rules, now=NOW).key, ("trial", "visit"), weeks=grouped, totals=totals, **more)


def insights(
    weeks: Mapping[int, Week], before: Mapping[str, Any] | None = None, rules: Ruleset = RULES, **more: Any
) -> dict[str, Any]:
    return conclude(sample(weeks, rules, **more), rules, run="run", before=before).insights


def tier(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    [one] = [each for each in found["tiers"] if each["tier"] == name]
    return dict(one)


def moved(found: Mapping[str, Any]) -> list[str]:
    return [each["tier"] for each in found["tiers"] if each["moved_from"] is not None]


def test_figures_of_one_sample_fit_each_other() -> None:
    found = insights(dict.fromkeys(range(10), USUAL), leads=3333, events=40_000, omitted={"too recent": 333})
    assert (found["leads"], found["conversions"], found["leads_read"]) == (3000, 420, 3333)
    for table in ("tiers", "bands", "periods"):
        assert sum(row["leads"] for row in found[table]) == 3000
        assert sum(row["conversions"] for row in found[table]) == 420
    assert [row["tier"] for row in found["tiers"]] == ["hot", "warm", "cold"]
    assert tier(found, "hot")["rate"]["value"] == pytest.approx(0.3)
    assert [one["criterion"] for one in found["criteria"]] == ["trial", "visit"]
    assert [one["conversions"] for one in found["criteria"]] == [300, 100]
    assert (found["run"], found["at"], found["window_days"]) == ("run", format_instant(NOW), 30)
    # Ten weeks, of which the first and the last are told to the day.
    assert found["since"] == format_instant(WEEK_0 * WEEK)[:10]
    assert found["until"] == format_instant((WEEK_0 + 10) * WEEK)[:10]
    assert found["omitted"] == {"too recent": 333}
    json.dumps(found, allow_nan=False)


def test_periods_are_the_same_four_weeks_whenever_the_run_is() -> None:
    early = insights(dict.fromkeys(range(10), USUAL))["periods"]
    later = insights(dict.fromkeys(range(2, 14), USUAL))["periods"]
    assert [period["leads"] for period in early] == [1200, 1200, 600]
    assert [period["leads"] for period in later] == [600, 1200, 1200, 600]
    assert [period["period"] for period in early] == [period["period"] for period in later][:3]
    assert early[1] == later[1]


def test_a_rate_that_has_moved_is_told_once_and_is_the_usual_one_then() -> None:
    first = insights(dict.fromkeys(range(30), USUAL))
    assert moved(first) == []
    assert tier(first, "hot")["usual_rate"]["value"] == pytest.approx(0.3)
    weeks = dict.fromkeys(range(30), USUAL) | dict.fromkeys(range(30, 30 + NEWEST_WEEKS), FALLEN)
    second = insights(weeks, before=first)
    assert moved(second) == ["hot"]
    hot = tier(second, "hot")
    assert hot["moved_from"] == tier(first, "hot")["usual_rate"]
    assert hot["newest"]["rate"] == hot["usual_rate"]
    assert (hot["newest"]["leads"], hot["newest"]["conversions"]) == (1200, 60)
    third = insights(weeks, before=second)
    assert moved(third) == []
    assert tier(third, "hot")["usual_rate"] == hot["usual_rate"]
    # Back to where it was is a move again.
    back = weeks | dict.fromkeys(range(42, 42 + NEWEST_WEEKS), USUAL)
    assert moved(insights(back, before=third)) == ["hot"]


def test_what_creeps_is_held_against_what_was_usual_and_not_against_last_week() -> None:
    weeks: dict[int, Week] = dict(dict.fromkeys(range(30), USUAL))
    found = insights(weeks)
    told = []
    for week in range(30, 60):
        weeks[week] = {**USUAL, HOT: Counts(100, 30 - (week - 30) // 2)}
        found = insights(weeks, before=found)
        told += moved(found)
    # Thirty weeks, in which it halved.
    assert 1 <= len(told) <= 5


def test_another_ruleset_has_other_tiers_which_begin_anew() -> None:
    other = parse_ruleset({**DOCUMENT, "tiers": [{"name": "hot", "from": 39}, *DOCUMENT["tiers"][1:]]})
    first = insights(dict.fromkeys(range(30), USUAL))
    second = insights(dict.fromkeys(range(30), FALLEN), before=first, rules=other)
    assert moved(second) == []
    assert tier(second, "hot")["usual_rate"]["value"] == pytest.approx(0.05)


def test_a_few_newest_leads_move_nothing() -> None:
    first = insights(dict.fromkeys(range(30), USUAL))
    few: Week = {HOT: Counts(29, 0)}
    assert moved(insights(dict.fromkeys(range(30), USUAL) | {41: few}, before=first)) == []
    assert moved(insights(dict.fromkeys(range(30), USUAL) | {41: {HOT: Counts(30, 0)}}, before=first)) == ["hot"]


def test_a_run_without_leads_says_so_and_the_next_one_begins_anew() -> None:
    empty = insights({})
    assert (empty["leads"], empty["tiers"], empty["periods"], empty["since"]) == (0, [], [], None)
    assert empty["warnings"] == ["there are no leads to learn from"]
    assert empty["calibration"] is None
    assert moved(insights(dict.fromkeys(range(30), USUAL), before=empty)) == []


def test_a_ruleset_without_a_goal_says_so() -> None:
    aimless = parse_ruleset({name: value for name, value in DOCUMENT.items() if name != "goal"})
    assert insights({}, rules=aimless)["warnings"] == ["the ruleset names no goal: there is nothing to learn from"]


def test_candidates_are_what_many_leads_have() -> None:
    facts = Facts({"event": {"Exported": Counts(400, 200), "Rare": Counts(29, 29)}}, frozenset({"page"}))
    found = insights(dict.fromkeys(range(10), USUAL), unread=facts)
    assert [(one["name"], one["notable"]) for one in found["candidates"]] == [("event: Exported", True)]
    assert found["not_looked_at"] == ["page"]


def expected_rate(calibration: Calibration | None, week: Week) -> float:
    assert calibration is not None
    leads = sum(counts.leads for counts in week.values())
    return sum(calibration.probability(SCORES[pattern]) * counts.leads for pattern, counts in week.items()) / leads


def test_probabilities_follow_the_base_rate_of_the_newest_leads() -> None:
    half: Week = {HOT: Counts(100, 15), WARM: Counts(100, 5), COLD: Counts(100, 1)}
    weeks = dict.fromkeys(range(10), USUAL) | dict.fromkeys(range(10, 16), half)
    calibration = calibrate_newest(sample(weeks).totals)
    assert calibration is not None
    # The newest whole weeks that hold a hundred conversions.
    assert (calibration.leads, calibration.conversions) == (5 * 300, 5 * 21)
    assert calibration.conversions >= BASE_CONVERSIONS
    assert expected_rate(calibration, half) == pytest.approx(0.07, rel=0.1)
    dated = conclude(sample(weeks), RULES, run="run", before=None).calibration
    assert dated is not None
    assert (dated.calibration, dated.taken_at, dated.window) == (calibration, NOW, 30 * DAY)
    assert dated.ruleset == RULES.version


def weeks_whose_newest_are(mean: float, chance: np.random.Generator) -> dict[int, dict[float, Counts]]:
    """Return thirty weeks of leads with one curve all the time, of which the last six have other scores."""
    totals: dict[int, dict[float, Counts]] = {}
    for week in range(30):
        scores = np.round(chance.normal(40 if week < 24 else mean, 10, 150))
        converted = chance.random(150) < 1 / (1 + np.exp(4 - 0.08 * scores))
        totals[week] = {
            float(score): Counts(int((scores == score).sum()), int(converted[scores == score].sum()))
            for score in np.unique(scores)
        }
    return totals


@pytest.mark.parametrize("mean", [25, 55], ids=["colder", "warmer"])
def test_newest_leads_with_other_scores_do_not_change_what_a_score_means(mean: float) -> None:
    chance = np.random.default_rng(3)
    held = dict.fromkeys((20, 40, 60), 0)
    for _ in range(100):
        calibration = calibrate_newest(weeks_whose_newest_are(mean, chance))
        assert calibration is not None
        for score in held:
            estimate = calibration.estimate(score)
            held[score] += estimate.low <= 1 / (1 + exp(4 - 0.08 * score)) <= estimate.high
    assert all(count >= 89 for count in held.values()), held


def test_a_small_sample_is_calibrated_on_all_of_it() -> None:
    calibration = calibrate_newest(sample({0: USUAL}).totals)
    assert calibration is not None
    assert (calibration.leads, calibration.conversions) == (300, 42)
    assert expected_rate(calibration, USUAL) == pytest.approx(0.14, rel=0.02)


@pytest.mark.parametrize(
    "week",
    [
        {},
        {HOT: Counts(100, 20), COLD: Counts(900, 4)},
        {HOT: Counts(100, 100), COLD: Counts(20, 0)},
        {HOT: Counts(100, 10), COLD: Counts(100, 30)},
        {HOT: Counts(100, 30)},
    ],
    ids=["no leads", "few conversions", "few others", "a score that misleads", "one score"],
)
def test_without_enough_to_go_by_there_are_no_probabilities(week: Week) -> None:
    assert calibrate_newest(sample({0: week} if week else {}).totals) is None


@given(
    newest=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    older=st.lists(st.integers(0, 100), max_size=3),
)
def test_what_is_older_than_the_newest_conversions_has_no_say(newest: list[int], older: list[int]) -> None:
    full: Week = {HOT: Counts(2000, 400), COLD: Counts(2000, 120)}
    weeks: dict[int, Week] = {10 + place: {**USUAL, HOT: Counts(100, hot)} for place, hot in enumerate(newest)}
    weeks[9] = full
    past: dict[int, Week] = {place: {**USUAL, HOT: Counts(100, hot)} for place, hot in enumerate(older)}
    assert calibrate_newest(sample(weeks).totals) == calibrate_newest(sample(past | weeks).totals)


def test_leads_of_whom_the_log_does_not_tell_what_became_of_them_do_not_count() -> None:
    weeks = dict.fromkeys(range(30), USUAL) | dict.fromkeys(range(30, 40), CENSORED)
    # The window of the thirtieth week is just over by the end of the log, which is long before the run.
    end = (WEEK_0 + 30) * WEEK + 30 * DAY
    found = insights(weeks, before=insights(dict.fromkeys(range(30), USUAL)), newest=end, omitted={"too recent": 7})
    assert (found["leads"], found["conversions"]) == (9000, 1260)
    assert found["omitted"] == {"too recent": 3007}
    assert moved(found) == []
    told = f"the log ends on {format_instant(end)[:10]}: leads whose window was not over by then are left out"
    assert told in found["warnings"]
    assert insights(weeks, newest=end - 1)["leads"] == 8700
    going_on = insights(weeks, newest=NOW)
    assert going_on["leads"] == 12000
    assert not [warning for warning in going_on["warnings"] if "the log ends" in warning]
