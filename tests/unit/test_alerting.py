"""The alert policy, one story at a time: each step is an instant (in days) and the score the lead then has."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from leadscore.core.alerting import (
    AlertDecision,
    AlertMemory,
    Outcome,
    Standing,
    decide_alert,
    decide_hand_raise,
    hold_back,
    join_memories,
)
from leadscore.core.instants import DAY
from leadscore.core.ruleset import DISQUALIFIED, AlertPolicy, Tier, WorkingHours

HOUR = DAY // 24

TIERS = (Tier("burning", 80), Tier("hot", 50), Tier("warm", 25), Tier("cold", None))
TOLD: Outcome = "wanted"
HUSHED: Outcome = "suppressed"
SILENT: Outcome = "none"
POLICY = AlertPolicy(tier="hot", rearm_below=40, cooldown=7 * DAY)
SETTLING = POLICY._replace(delay=DAY)
COLD, HOT = Standing("cold", 0), Standing("hot", 60)


@dataclass(frozen=True)
class Step:
    day: float
    score: float
    alert: Outcome
    because: str


def tier_of(score: float) -> str:
    return next(tier.name for tier in TIERS if tier.from_ is None or score >= tier.from_)


STORIES = {
    "crossing once, then staying": [
        Step(0, 53, TOLD, "entered hot"),
        Step(1, 60, SILENT, "did not enter hot"),
        Step(9, 79, SILENT, "did not enter hot"),
    ],
    "flapping above the re-arm line tells once": [
        Step(0, 50, TOLD, "entered hot"),
        Step(10, 45, SILENT, "did not enter hot"),
        Step(20, 55, HUSHED, "has not been below 40 since the last alert"),
        Step(30, 45, SILENT, "did not enter hot"),
        Step(40, 55, HUSHED, "has not been below 40 since the last alert"),
    ],
    "the re-arm line itself does not re-arm": [
        Step(0, 50, TOLD, "entered hot"),
        Step(10, 40, SILENT, "did not enter hot"),
        Step(20, 55, HUSHED, "has not been below 40 since the last alert"),
    ],
    "cooling below the line re-arms": [
        Step(0, 50, TOLD, "entered hot"),
        Step(10, 39.9, SILENT, "did not enter hot"),
        Step(20, 55, TOLD, "entered hot"),
    ],
    "re-armed, but within the cooldown": [
        Step(100, 50, TOLD, "entered hot"),
        Step(101, 10, SILENT, "did not enter hot"),
        Step(106.9, 55, HUSHED, "within the cooldown of the last alert"),
    ],
    "what the cooldown silenced is told of the next time": [
        Step(100, 50, TOLD, "entered hot"),
        Step(101, 10, SILENT, "did not enter hot"),
        Step(102, 55, HUSHED, "within the cooldown of the last alert"),
        Step(108, 45, SILENT, "did not enter hot"),
        Step(109, 55, TOLD, "entered hot"),
    ],
    "the cooldown's end is its first free instant": [
        Step(0, 50, TOLD, "entered hot"),
        Step(1, 10, SILENT, "did not enter hot"),
        Step(7, 55, TOLD, "entered hot"),
    ],
    "jumping over the tier enters it too, going up within it does not": [
        Step(0, 85, TOLD, "entered hot"),
        Step(1, 55, SILENT, "did not enter hot"),
        Step(2, 95, SILENT, "did not enter hot"),
    ],
    "just below and exactly at the bound": [
        Step(0, 49.999, SILENT, "did not enter hot"),
        Step(1, 50, TOLD, "entered hot"),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_story(story: list[Step]) -> None:
    memory, before = AlertMemory(), COLD
    for step in story:
        after = Standing(tier_of(step.score), step.score)
        decision = decide_alert(POLICY, TIERS, memory, before, after, int(step.day * DAY))
        assert (decision.outcome, decision.reason) == (step.alert, step.because), step
        memory, before = decision.memory, after


@pytest.mark.parametrize(
    ("policy", "after", "reason"),
    [
        (POLICY, Standing(DISQUALIFIED, 50), "is disqualified"),
        (POLICY, Standing("hot", 60, converted=True), "has converted"),
        (POLICY, Standing("hot", 60, internal=True), "is internal"),
        (POLICY._replace(min_fit=10), Standing("hot", 60, fit=9.5), "has a fit of 9.5, below 10"),
        (POLICY._replace(min_fit=-5.5), Standing("hot", 60, fit=-6), "has a fit of -6, below -5.5"),
    ],
)
def test_who_enters_but_is_not_to_be_told_of_is_on_record_and_stays_armed(
    policy: AlertPolicy, after: Standing, reason: str
) -> None:
    decision = decide_alert(policy, TIERS, AlertMemory(), COLD, after, 9 * DAY)
    assert decision == AlertDecision("suppressed", reason, AlertMemory())


@pytest.mark.parametrize(
    ("policy", "after"),
    [
        (POLICY._replace(suppress_converted=False), Standing("hot", 60, converted=True)),
        (POLICY._replace(min_fit=10), Standing("hot", 60, fit=10)),
        (POLICY, Standing("hot", 60, fit=-9)),
    ],
)
def test_what_the_policy_does_not_mind_is_told(policy: AlertPolicy, after: Standing) -> None:
    assert decide_alert(policy, TIERS, AlertMemory(), COLD, after, 0).outcome == "wanted"


@pytest.mark.parametrize(
    ("before", "total"),
    [(Standing("cold", 0), 49.9), (Standing("hot", 60), 70), (Standing("burning", 90), 70)],
)
def test_who_is_disqualified_without_entering_asks_for_nothing(before: Standing, total: float) -> None:
    assert decide_alert(POLICY, TIERS, AlertMemory(), before, Standing(DISQUALIFIED, total), 0).outcome == "none"


def test_points_of_who_was_disqualified_before_ask_for_nothing() -> None:
    before, after = Standing(DISQUALIFIED, 0), Standing(DISQUALIFIED, 90)
    assert decide_alert(POLICY, TIERS, AlertMemory(), before, after, 0).outcome == "none"


def test_a_lead_that_stops_being_disqualified_enters() -> None:
    decision = decide_alert(POLICY, TIERS, AlertMemory(), Standing(DISQUALIFIED, 90), Standing("burning", 90), 0)
    assert decision.outcome == "wanted"


def test_without_a_policy_nobody_is_told_and_nothing_is_forgotten() -> None:
    memory = AlertMemory(armed=False, last_alert=5 * DAY)
    decision = decide_alert(None, TIERS, memory, COLD, HOT, 9 * DAY)
    assert decision == AlertDecision("none", "no alert policy", memory)
    assert decide_hand_raise(None, memory, None, 8 * DAY, HOT, 9 * DAY) == decision


def test_an_alert_is_remembered_by_the_instant_that_it_is_planned_for_and_disarms() -> None:
    memory = AlertMemory(last_alert=1 * DAY, last_raise=1 * DAY, heard_raise=5)
    decision = decide_alert(SETTLING, TIERS, memory, COLD, HOT, 9 * DAY)
    planned = AlertMemory(armed=False, last_alert=10 * DAY, earlier_alert=1 * DAY, last_raise=1 * DAY, heard_raise=5)
    assert decision.memory == planned


def test_a_score_that_fell_below_the_line_without_another_tier_rearms() -> None:
    disarmed, fell = AlertMemory(armed=False, last_alert=0), Standing("warm", 39)
    assert decide_alert(POLICY, TIERS, disarmed, fell, HOT, 9 * DAY).outcome == "wanted"
    assert decide_alert(POLICY, TIERS, disarmed, Standing("warm", 40), HOT, 9 * DAY).outcome == "suppressed"


def test_alerts_are_planned_for_working_hours_and_their_cooldown_is_between_those() -> None:
    # The epoch was a Thursday: days 2 and 3 are a weekend, day 4 is a Monday.
    workdays = WorkingHours("UTC", frozenset(range(5)), 9 * 60, 17 * 60)
    policy, monday = POLICY._replace(hours=workdays, cooldown=3 * DAY), 4 * DAY + 9 * HOUR
    friday = decide_alert(policy, TIERS, AlertMemory(), COLD, HOT, DAY + 18 * HOUR)
    assert friday.memory.last_alert == monday
    left = decide_alert(policy, TIERS, friday.memory, HOT, COLD, monday + HOUR).memory
    outcomes = [
        decide_alert(policy, TIERS, left, COLD, HOT, at).outcome
        for at in (monday + 2 * DAY + 7 * HOUR, monday + 2 * DAY + 8 * HOUR)
    ]
    assert outcomes == ["suppressed", "wanted"]


# --- An alert that is still to come when the lead leaves.


def test_leaving_before_the_alert_goes_out_takes_it_back() -> None:
    told = decide_alert(SETTLING, TIERS, AlertMemory(last_alert=0), COLD, HOT, 9 * DAY).memory
    warm = Standing("warm", 45)
    left = decide_alert(SETTLING, TIERS, told, HOT, warm, 10 * DAY - 1)
    assert (left.outcome, left.memory) == ("none", AlertMemory(armed=True, last_alert=0))
    assert decide_alert(SETTLING, TIERS, left.memory, warm, HOT, 10 * DAY).outcome == "wanted"


def test_leaving_after_the_alert_went_out_takes_nothing_back() -> None:
    told = decide_alert(SETTLING, TIERS, AlertMemory(), COLD, HOT, 9 * DAY).memory
    assert decide_alert(SETTLING, TIERS, told, HOT, Standing("warm", 45), 10 * DAY).memory == told


def test_losing_the_fit_before_the_alert_goes_out_takes_it_back_too() -> None:
    policy = SETTLING._replace(min_fit=10)
    fits, lacks = Standing("hot", 60, fit=10), Standing("hot", 60, fit=9)
    told = decide_alert(policy, TIERS, AlertMemory(), COLD, fits, 9 * DAY).memory
    left = decide_alert(policy, TIERS, told, fits, lacks, 9 * DAY + 1)
    assert (left.outcome, left.memory) == ("none", AlertMemory())
    again = decide_alert(policy, TIERS, left.memory, lacks, fits, 9 * DAY + 2)
    assert (again.outcome, again.reason) == ("wanted", "is hot, and fits by now")
    known = decide_alert(policy, TIERS, told, lacks, fits, 11 * DAY)
    assert (known.outcome, known.reason) == ("none", "did not enter hot")


def test_a_hand_that_is_raised_is_not_taken_back_by_leaving() -> None:
    night = POLICY._replace(hours=WorkingHours("UTC", frozenset(range(7)), 9 * 60, 17 * 60))
    told = decide_hand_raise(night, AlertMemory(), None, 1, HOT, 2).memory
    assert told == AlertMemory(last_alert=9 * HOUR, last_raise=9 * HOUR, heard_raise=1)
    assert decide_alert(night, TIERS, told, HOT, Standing("warm", 45), 3).memory == told


# --- Hand-raises.


@pytest.mark.parametrize(
    ("before", "heard", "raised", "outcome"),
    [
        (None, None, None, "none"),
        (None, None, 5, "wanted"),
        (4, None, 5, "wanted"),
        (5, None, 5, "none"),
        (6, None, 5, "none"),
        (None, 5, 5, "none"),
        (4, 4, 5, "wanted"),
        (6, None, None, "none"),
    ],
)
def test_a_hand_that_is_raised_counts_once(
    before: int | None, heard: int | None, raised: int | None, outcome: Outcome
) -> None:
    memory = AlertMemory(heard_raise=heard)
    decision = decide_hand_raise(POLICY, memory, before, raised, COLD, 9 * DAY)
    assert decision.outcome == outcome
    assert decision.memory.heard_raise == (raised if outcome == "wanted" else heard)


@pytest.mark.parametrize(
    ("memory", "outcome"),
    [
        (AlertMemory(armed=False, last_alert=8 * DAY), "wanted"),
        (AlertMemory(last_alert=8 * DAY, last_raise=2 * DAY), "wanted"),
        (AlertMemory(last_alert=8 * DAY, last_raise=2 * DAY + 1), "suppressed"),
    ],
)
def test_only_a_hand_raise_has_a_cooldown_for_hand_raises(memory: AlertMemory, outcome: Outcome) -> None:
    decision = decide_hand_raise(POLICY, memory, None, 5, COLD, 9 * DAY)
    assert decision.outcome == outcome
    assert (
        decision.reason
        == {
            "wanted": "raised its hand",
            "suppressed": "within the cooldown of the last hand-raise",
        }[outcome]
    )
    last = {"wanted": 9 * DAY, "suppressed": memory.last_alert}[outcome]
    assert (decision.memory.last_alert, decision.memory.armed) == (last, memory.armed)


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (Standing(DISQUALIFIED, 90), "is disqualified"),
        (Standing("cold", 0, converted=True), "has converted"),
        (Standing("cold", 0, internal=True), "is internal"),
    ],
)
def test_a_hand_raise_does_not_help_those_who_are_never_told_of(standing: Standing, reason: str) -> None:
    decision = decide_hand_raise(POLICY, AlertMemory(), None, 5, standing, 9 * DAY)
    assert decision == AlertDecision("suppressed", reason, AlertMemory(heard_raise=5))


def test_a_hand_raise_waits_for_no_delay_and_asks_for_no_fit() -> None:
    decision = decide_hand_raise(SETTLING._replace(min_fit=10), AlertMemory(), None, 5, COLD, 9 * DAY)
    assert (decision.outcome, decision.memory.last_raise) == ("wanted", 9 * DAY)


# --- What is held back, and what several leads remember together.


def test_what_is_held_back_is_suppressed_only_where_it_was_wanted() -> None:
    memory = AlertMemory(heard_raise=5)
    wanted = AlertDecision("wanted", "entered hot", AlertMemory(armed=False))
    assert hold_back(wanted, memory, "because") == AlertDecision("suppressed", "because", memory)
    silent = AlertDecision("none", "did not enter hot", AlertMemory())
    assert hold_back(silent, memory, "because") == AlertDecision("none", "did not enter hot", memory)


def test_joined_leads_remember_the_latest_of_everything() -> None:
    one = AlertMemory(armed=False, last_alert=9, earlier_alert=3, last_raise=None, heard_raise=4)
    other = AlertMemory(armed=True, last_alert=7, earlier_alert=None, last_raise=7, heard_raise=6)
    joined = AlertMemory(armed=False, last_alert=9, earlier_alert=7, last_raise=7, heard_raise=6)
    assert join_memories([one, other]) == join_memories([other, one]) == joined
    assert join_memories([one]) == one
    assert join_memories([]) == AlertMemory()
