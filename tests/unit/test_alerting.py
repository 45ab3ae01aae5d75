"""The alert policy, one story at a time: each step is an instant (in days) and the score the lead then has."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from leadscore.core.alerting import AlertDecision, AlertMemory, Standing, decide_alert
from leadscore.core.instants import DAY
from leadscore.core.ruleset import DISQUALIFIED, AlertPolicy, Tier

TIERS = (Tier("burning", 80), Tier("hot", 50), Tier("warm", 25), Tier("cold", None))
TOLD, SILENT = True, False
POLICY = AlertPolicy(tier="hot", rearm_below=40, cooldown=7 * DAY)


@dataclass(frozen=True)
class Step:
    day: float
    score: float
    alert: bool
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
        Step(20, 55, SILENT, "has not been below 40 since the last alert"),
        Step(30, 45, SILENT, "did not enter hot"),
        Step(40, 55, SILENT, "has not been below 40 since the last alert"),
    ],
    "the re-arm line itself does not re-arm": [
        Step(0, 50, TOLD, "entered hot"),
        Step(10, 40, SILENT, "did not enter hot"),
        Step(20, 55, SILENT, "has not been below 40 since the last alert"),
    ],
    "cooling below the line re-arms": [
        Step(0, 50, TOLD, "entered hot"),
        Step(10, 39.9, SILENT, "did not enter hot"),
        Step(20, 55, TOLD, "entered hot"),
    ],
    "re-armed, but within the cooldown": [
        Step(100, 50, TOLD, "entered hot"),
        Step(101, 10, SILENT, "did not enter hot"),
        Step(106.9, 55, SILENT, "within the cooldown of the last alert"),
    ],
    "what the cooldown silenced is told of the next time": [
        Step(100, 50, TOLD, "entered hot"),
        Step(101, 10, SILENT, "did not enter hot"),
        Step(102, 55, SILENT, "within the cooldown of the last alert"),
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
    memory, before = AlertMemory(), Standing("cold", 0)
    for step in story:
        after = Standing(tier_of(step.score), step.score)
        decision = decide_alert(POLICY, TIERS, memory, before, after, int(step.day * DAY))
        assert (decision.fires, decision.reason) == (step.alert, step.because), step
        memory, before = decision.memory, after


def test_disqualified_lead_is_never_told() -> None:
    decision = decide_alert(POLICY, TIERS, AlertMemory(), Standing("cold", 0), Standing(DISQUALIFIED, 90), 0)
    assert not decision.fires


def test_a_lead_that_stops_being_disqualified_enters() -> None:
    decision = decide_alert(POLICY, TIERS, AlertMemory(), Standing(DISQUALIFIED, 90), Standing("burning", 90), 0)
    assert decision.fires


def test_without_a_policy_nobody_is_told_and_nothing_is_forgotten() -> None:
    memory = AlertMemory(armed=False, last_alert=5 * DAY)
    decision = decide_alert(None, TIERS, memory, Standing("cold", 0), Standing("hot", 60), 9 * DAY)
    assert decision == AlertDecision(fires=False, reason="no alert policy", memory=memory)


def test_an_alert_is_remembered_and_disarms() -> None:
    decision = decide_alert(POLICY, TIERS, AlertMemory(), Standing("cold", 0), Standing("hot", 60), 9 * DAY)
    assert decision.memory == AlertMemory(armed=False, last_alert=9 * DAY)
