"""The demo's past: what is learned from it is what is true of its company, whichever day it is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from leadscore import parse_ruleset
from leadscore.core.instants import from_datetime
from leadscore.learning.concluding import Conclusion, conclude
from leadscore.learning.sampling import Sampler, Sampling
from leadscore.usecases.histories import History
from leadscore_cli.demo import judge_insights
from leadscore_cli.sample_history import OVER_POINTED, demo_company, find_over_pointed, insight_lines, write_history

RULESET = parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text(encoding="utf-8"))
NOON = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)


def learned(now: datetime) -> Conclusion:
    """Return what insights come to, were the company's year imported and learned from at that instant."""
    histories = defaultdict(list)
    for event in demo_company(now).events():
        histories[str(event["userId"])].append(event)
    sampler = Sampler(Sampling(RULESET, now=from_datetime(now)))
    for user, events in histories.items():
        sampler.add(History(f"user:{user}", events, (), None))
    return conclude(sampler.sample(), RULESET, run="demo", before=None)


@pytest.fixture(scope="module")
def conclusion() -> Conclusion:
    return learned(NOON)


def test_the_lines_are_true_of_the_company(conclusion: Conclusion) -> None:
    truth = demo_company(NOON).truth
    strongest = max((one.id for one in RULESET.criteria), key=lambda name: truth[name])

    first, second = insight_lines(conclusion.insights)

    assert first.startswith(f"{strongest} goes with conversion most: ")
    assert second.startswith(f"{OVER_POINTED} is over-pointed: +15 now, ")
    assert truth[OVER_POINTED] == 0


@pytest.mark.parametrize("now", [NOON.replace(hour=0, minute=0), NOON.replace(hour=23), NOON + timedelta(days=170)])
def test_the_finding_is_there_at_any_hour_of_any_day(now: datetime) -> None:
    worst = find_over_pointed(learned(now).insights)
    assert worst is not None
    assert worst["criterion"] == OVER_POINTED


def test_a_calibration_comes_of_it(conclusion: Conclusion) -> None:
    assert conclusion.calibration is not None
    assert conclusion.calibration.ruleset == RULESET.version


def test_the_archive_has_all_events_lead_by_lead_and_is_the_same_all_day(tmp_path: Path) -> None:
    morning, evening = tmp_path / "morning", tmp_path / "evening"

    write_history(demo_company(NOON.replace(hour=1)), morning)
    write_history(demo_company(NOON.replace(hour=23)), evening)

    events = [json.loads(line) for line in morning.read_text().splitlines()]
    assert morning.read_bytes() == evening.read_bytes()
    assert {event["messageId"] for event in events} == {event["messageId"] for event in demo_company(NOON).events()}
    leads = [lead for lead, _ in groupby(event["userId"] for event in events)]
    assert len(leads) == len(set(leads)) == demo_company(NOON).leads


def criterion(name: str, lift: float, q: float = 0.001, *findings: str, points: int = 10, fair: float = 5.0) -> Any:
    return {
        "criterion": name,
        "points": points,
        "q": q,
        "rate": {"value": lift / 10},
        "lift": {"value": lift, "low": lift - 0.5, "high": lift + 0.5},
        "fair_points": {"value": fair, "low": fair - 1, "high": fair + 1},
        "findings": [{"kind": kind, "reason": f"{name} says {kind}"} for kind in findings],
    }


def found(*criteria: Mapping[str, Any]) -> dict[str, Any]:
    return {"criteria": list(criteria)}


def test_what_is_unsure_or_suspect_is_not_what_goes_with_conversion_most() -> None:
    suspects = [criterion("chance", 9.0, 0.06), criterion("leaking", 8.0, 0.001, "leak"), criterion("sure", 2.0)]

    first, _ = insight_lines(found(*suspects))

    assert first == (
        "sure goes with conversion most: 20% of its leads converted, 2.0 times (1.5 to 2.5) the share of all."
    )


def test_the_criterion_with_most_points_too_many_is_told() -> None:
    over = [criterion("some", 1.0, 0.5, "over-pointed", fair=8.0), criterion("most", 1.0, 0.5, "over-pointed")]

    _, second = insight_lines(found(*over, criterion("under", 1.0, 0.5, "under-pointed", fair=90.0)))

    assert second == "most is over-pointed: most says over-pointed."


def test_a_past_that_says_nothing_is_said_to_say_nothing() -> None:
    assert insight_lines(found(criterion("chance", 9.0, 0.9))) == (
        "Nothing surely goes with conversion yet.",
        "No criterion surely has too many points.",
    )


def test_the_demo_holds_where_its_last_line_is_true_of_the_company(conclusion: Conclusion) -> None:
    console = Console(width=200, no_color=True, file=StringIO())
    first, second = insight_lines(conclusion.insights)

    assert judge_insights(console, conclusion.insights)
    assert not judge_insights(console, found(criterion("webinar", 1.0, 0.5, "over-pointed")))
    assert not judge_insights(console, found(criterion("chance", 9.0, 0.9)))

    assert isinstance(console.file, StringIO)
    printed = console.file.getvalue().splitlines()
    assert printed[1:3] == [first, second]
    assert printed[-1] == "No criterion surely has too many points."
