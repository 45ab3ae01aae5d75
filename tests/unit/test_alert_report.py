"""What alerts were worth, by examples that can be counted by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from leadscore.core.instants import DAY, Millis, format_instant, parse_instant
from leadscore.core.verdicts import Verdict, VerdictKind
from leadscore.usecases.alert_records import AlertRecord, Entry
from leadscore.usecases.alert_report import Verdicts, report_alerts, week_of

# A Wednesday; its week begins on 2026-03-09.
NOW = parse_instant("2026-03-11T12:00:00Z")
MONDAY = parse_instant("2026-03-09T00:00:00Z")


def sent(at: Millis | None, *leads: tuple[str, str, VerdictKind | None]) -> AlertRecord:
    """Return an alert on leads, each with its criteria (spaces between) and the verdict on it."""
    entries = [
        Entry(name, "tier", "hot", 60.0, dict.fromkeys(criteria.split(), 5.0), None) for name, criteria, _ in leads
    ]
    said: Mapping[str, Verdict] = {name: Verdict(kind, NOW, "kim") for name, _, kind in leads if kind is not None}
    return AlertRecord("a", "alert", None, "desk", at or NOW, entries, sent_at=at, verdicts=said)


def test_a_week_begins_on_monday_by_utc() -> None:
    assert [format_instant(week_of(at))[:10] for at in (MONDAY - 1, MONDAY, NOW, MONDAY + 7 * DAY - 1)] == [
        "2026-03-02",
        "2026-03-09",
        "2026-03-09",
        "2026-03-09",
    ]


def test_volume_answers_and_precision_of_two_weeks() -> None:
    alerts = [
        sent(MONDAY, ("ada", "trial", "good")),
        sent(MONDAY + DAY, ("bob", "trial pricing", "junk"), ("eve", "pricing", "good")),
        sent(MONDAY + DAY, ("kim", "trial", None)),
        sent(MONDAY - 1, ("lea", "webinar", "snooze")),
        sent(MONDAY - DAY, ("max", "trial", "good")),
        # Not of these weeks, or not sent.
        sent(MONDAY - 7 * DAY - 1, ("old", "trial", "junk")),
        sent(None, ("soon", "trial", None)),
    ]
    report = report_alerts(alerts, NOW, weeks=2)

    assert (report.total.alerts, report.total.acknowledged, report.total.acknowledged_share) == (5, 4, 0.8)
    assert (report.total.verdicts, report.total.verdicts.precision) == (Verdicts(3, 1, 1), 0.75)
    this, last = report.weeks
    assert [week.begins for week in (this, last)] == [MONDAY, MONDAY - 7 * DAY]
    assert (this.volume.alerts, this.volume.acknowledged, this.volume.verdicts) == (3, 2, Verdicts(2, 1, 0))
    assert (last.volume.alerts, last.volume.acknowledged, last.volume.verdicts) == (2, 2, Verdicts(1, 0, 1))
    assert [(one.criterion, one.leads, one.verdicts) for one in report.criteria] == [
        ("trial", 4, Verdicts(2, 1, 0)),
        ("pricing", 2, Verdicts(1, 1, 0)),
        ("webinar", 1, Verdicts(0, 0, 1)),
    ]


def test_where_nobody_said_anything_there_is_no_precision() -> None:
    report = report_alerts([sent(MONDAY, ("ada", "trial", None))], NOW, weeks=1)
    assert (report.total.verdicts.precision, report.total.acknowledged_share) == (None, 0.0)
    empty = report_alerts([], NOW, weeks=3)
    assert (empty.total.acknowledged_share, len(empty.weeks), empty.criteria) == (None, 3, [])


@pytest.mark.parametrize(("warn_above", "warned"), [(None, [False, False]), (1, [True, False]), (2, [False, False])])
def test_weeks_with_too_many_are_named(warn_above: int | None, warned: list[bool]) -> None:
    alerts = [sent(at, ("ada", "trial", None)) for at in (MONDAY, MONDAY + DAY, MONDAY - DAY)]
    report = report_alerts(alerts, NOW, 2, warn_above)
    assert [week.is_too_many for week in report.weeks] == warned


def test_the_figures_are_plain_json() -> None:
    report = report_alerts([sent(MONDAY, ("ada", "trial", "junk"))], NOW, 1, 5)
    figures = {"good": 0, "junk": 1, "snooze": 0, "precision": 0.0}
    assert report.to_dict() == {
        "total": {"alerts": 1, "acknowledged": 1, "acknowledged_share": 1.0, **figures},
        "weeks": [
            {
                "begins": "2026-03-09T00:00:00.000Z",
                "alerts": 1,
                "acknowledged": 1,
                "acknowledged_share": 1.0,
                **figures,
                "too_many": False,
            }
        ],
        "criteria": [{"criterion": "trial", "leads": 1, **figures}],
        "warn_above": 5,
    }


def test_the_account_of_an_alert_counts_only_where_nobody_else_is_told_of() -> None:
    both = sent(NOW, ("ada", "trial", "junk"), ("account:acme", "trial", "junk"))
    alone = sent(NOW, ("account:beta", "webinar", "good"))
    report = report_alerts([both, alone], NOW, 1)
    assert report.total.verdicts == Verdicts(good=1, junk=1, snooze=0)
    assert {one.criterion: one.leads for one in report.criteria} == {"trial": 1, "webinar": 1}
