"""What alerts were worth: how many went out, how many got an answer, and which criteria were behind good and junk ones.

Pure: from the records of alerts to figures. A week begins on Monday, in UTC. Volume and acknowledgement count alerts,
precision counts leads of alerts, since a verdict is on a lead: good / (good + junk); a snooze is an answer and neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leadscore.core.alert_desk import ACCOUNT_PREFIX
from leadscore.core.instants import DAY, Millis, format_instant
from leadscore.core.verdicts import VerdictKind
from leadscore.usecases.alert_records import AlertRecord, Entry

_WEEK: Millis = 7 * DAY
# The first Monday there is, as the first day of 1970 was a Thursday.
_FIRST_MONDAY: Millis = 4 * DAY


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many leads of alerts got which verdict."""

    good: int = 0
    junk: int = 0
    snooze: int = 0

    @property
    def precision(self) -> float | None:
        """The share of good ones, None where nobody said good or junk."""
        judged = self.good + self.junk
        return self.good / judged if judged else None

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {"good": self.good, "junk": self.junk, "snooze": self.snooze, "precision": self.precision}


@dataclass(frozen=True, slots=True)
class Volume:
    """So many alerts that went out, those of them that got any verdict, and what the verdicts on their leads were."""

    alerts: int
    acknowledged: int
    verdicts: Verdicts

    @property
    def acknowledged_share(self) -> float | None:
        """The share of alerts with a verdict, None where there were none."""
        return self.acknowledged / self.alerts if self.alerts else None

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {
            "alerts": self.alerts,
            "acknowledged": self.acknowledged,
            "acknowledged_share": self.acknowledged_share,
            **self.verdicts.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Week:
    """One week, by the instant at which it begins."""

    begins: Millis
    volume: Volume
    is_too_many: bool


@dataclass(frozen=True, slots=True)
class CriterionWorth:
    """In how many leads of alerts a criterion counted, and what was said of those."""

    criterion: str
    leads: int
    verdicts: Verdicts


@dataclass(frozen=True, slots=True)
class AlertReport:
    """The figures of some weeks, the latest first, and by criterion, the one most often judged first."""

    total: Volume
    weeks: Sequence[Week]
    criteria: Sequence[CriterionWorth]
    warn_above: int | None

    def to_dict(self) -> dict[str, object]:
        """Return the figures as plain JSON types."""
        return {
            "total": self.total.to_dict(),
            "weeks": [
                {"begins": format_instant(week.begins), **week.volume.to_dict(), "too_many": week.is_too_many}
                for week in self.weeks
            ],
            "criteria": [
                {"criterion": one.criterion, "leads": one.leads, **one.verdicts.to_dict()} for one in self.criteria
            ],
            "warn_above": self.warn_above,
        }


def week_of(at: Millis) -> Millis:
    """Return the instant at which the week of an instant begins."""
    return at - (at - _FIRST_MONDAY) % _WEEK


def first_week(now: Millis, weeks: int) -> Millis:
    """Return when the first of so many weeks begins, the one of `now` being the last."""
    return week_of(now) - (weeks - 1) * _WEEK


def report_alerts(alerts: Iterable[AlertRecord], now: Millis, weeks: int, warn_above: int | None = None) -> AlertReport:
    """Return what the alerts that went out in so many weeks were worth, the week of `now` being the last of them."""
    begin = first_week(now, weeks)
    by_week: dict[Millis, list[AlertRecord]] = {begin + number * _WEEK: [] for number in reversed(range(weeks))}
    for alert in alerts:
        if alert.sent_at is not None and begin <= alert.sent_at <= now:
            by_week[week_of(alert.sent_at)].append(alert)
    everything = [alert for sent in by_week.values() for alert in sent]
    return AlertReport(
        total=_volume(everything),
        weeks=[_week(start, sent, warn_above) for start, sent in by_week.items()],
        criteria=_criteria(everything),
        warn_above=warn_above,
    )


def _week(begins: Millis, sent: Sequence[AlertRecord], warn_above: int | None) -> Week:
    return Week(begins, _volume(sent), warn_above is not None and len(sent) > warn_above)


def _volume(sent: Sequence[AlertRecord]) -> Volume:
    said = [kind for alert in sent for _, kind in _judged(alert) if kind is not None]
    acknowledged = sum(any(kind is not None for _, kind in _judged(alert)) for alert in sent)
    return Volume(len(sent), acknowledged, _count(said))


def _criteria(sent: Sequence[AlertRecord]) -> list[CriterionWorth]:
    found: dict[str, list[VerdictKind | None]] = {}
    for alert in sent:
        for entry, kind in _judged(alert):
            for criterion in entry.criteria:
                found.setdefault(criterion, []).append(kind)
    worth = [CriterionWorth(name, len(kinds), _count(kinds)) for name, kinds in found.items()]
    return sorted(worth, key=lambda one: (-(one.verdicts.good + one.verdicts.junk), -one.leads, one.criterion))


def _judged(alert: AlertRecord) -> list[tuple[Entry, VerdictKind | None]]:
    """Return the leads of an alert, each with the last verdict on it; the account where it tells of nobody else."""
    last = alert.verdicts
    entries = [entry for entry in alert.entries if not entry.lead.startswith(ACCOUNT_PREFIX)] or alert.entries
    return [(entry, last[entry.lead].kind if entry.lead in last else None) for entry in entries]


def _count(kinds: Sequence[VerdictKind | None]) -> Verdicts:
    return Verdicts(good=kinds.count("good"), junk=kinds.count("junk"), snooze=kinds.count("snooze"))
