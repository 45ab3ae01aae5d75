"""Every stored lead under the active and under another ruleset, with nothing written: the walk of a dry run.

    segment --histories--> the lead's state under both rulesets, as a re-score would have it --> DryRun of the segment
                     '---> its events, lived through under the alert policies of both ------'

Invariant: a lead is scored from what a re-score would score it from: its stored state where both rulesets keep alike,
else its log on top of what the state knows from before that, and the account's traits as they are stored. So the
matrix is what a re-score at the same instant gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from leadscore.core.alert_desk import ACCOUNT_PREFIX
from leadscore.core.alert_replay import replay_alerts
from leadscore.core.identity import display_id, pseudonym
from leadscore.core.instants import DAY, Millis, format_instant, to_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.ruleset_changes import RulesetChange, find_changes
from leadscore.core.scoring import Score
from leadscore.core.state import AccountState, StaleState, State, advance, advance_account, merge
from leadscore.learning.dry_runs import DryRun, DryRunTally, LeadComparison
from leadscore.usecases.alert_records import AlertRecord
from leadscore.usecases.histories import History, HistoryPage, HistoryReader
from leadscore.usecases.standing import score_now

# Over how long alerts are counted.
ALERT_SPAN: Millis = 30 * DAY
# A sample is drawn from this many parts of the table.
SAMPLED_SEGMENTS = 256

Progress = Callable[[HistoryPage], None]


@dataclass(frozen=True, slots=True)
class SentAlerts:
    """What really was sent: how many alerts, how often a lead was told of by its pseudonym, and how often accounts.

    Unless `is_all` they are those of the newest alerts alone.
    """

    alerts: int = 0
    leads: Mapping[str, int] = field(default_factory=dict)
    accounts: int = 0
    is_all: bool = True

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON types."""
        return {
            "alerts": self.alerts,
            "told_of_leads": sum(self.leads.values()),
            "told_of_accounts": self.accounts,
            "is_all": self.is_all,
        }


@dataclass(frozen=True, slots=True)
class Comparing:
    """What leads are compared by: two rulesets, the instant, how long the log holds an event, and what was sent."""

    old: Ruleset
    new: Ruleset
    now: Millis
    retention: Millis
    sent: SentAlerts = field(default_factory=SentAlerts)


@dataclass(frozen=True, slots=True)
class DryRunReport:
    """What a ruleset would change: in its words, and for the leads there are or, unless `is_all`, a sample of them."""

    comparing: Comparing
    dry_run: DryRun
    is_all: bool

    @property
    def changes(self) -> list[RulesetChange]:
        """What the new ruleset says otherwise."""
        return find_changes(self.comparing.old, self.comparing.new)

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain JSON types."""
        return {
            "at": format_instant(self.comparing.now),
            "changes": [change.to_dict() for change in self.changes],
            "is_all": self.is_all,
            **self.dry_run.to_dict(),
            "alert_days": ALERT_SPAN // DAY,
            "sent": self.comparing.sent.to_dict(),
        }


def compare_lead(comparing: Comparing, history: History) -> LeadComparison:
    """Return one lead under both rulesets; raises ValueError, LookupError or TypeError for what cannot be read."""
    since = comparing.now - ALERT_SPAN
    told = [
        replay_alerts(
            ruleset,
            history.events,
            history.account_events,
            since,
            comparing.now,
            _before_the_log(comparing, ruleset, history),
        )
        for ruleset in (comparing.old, comparing.new)
    ]
    return LeadComparison(
        lead=display_id(history.lead),
        before=_score(comparing, comparing.old, history),
        after=_score(comparing, comparing.new, history),
        told_before=told[0],
        told_after=told[1],
        sent=comparing.sent.leads.get(pseudonym(history.lead), 0) if comparing.sent.leads else 0,
        is_stored=history.body is not None,
    )


def run_segment(
    reader: HistoryReader, comparing: Comparing, segment: int, segments: int, most: int, progress: Progress
) -> DryRun:
    """Return the dry run of one segment, read `most` items at a time."""
    tally = DryRunTally(DryRun.empty(comparing.old, comparing.new))
    for page in _pages(reader, segment, segments, most):
        for history in page.histories:
            _count(tally, comparing, history)
        progress(page)
    return tally.dry_run()


def run_sample(
    reader: HistoryReader,
    comparing: Comparing,
    leads: int,
    most: int,
    is_time_up: Callable[[], bool],
    progress: Progress,
) -> DryRunReport:
    """Return the dry run of the first so many leads of parts of the table in random order, or until the time is up.

    The order is that of the old ruleset: each draft against it is tried on the same leads.
    """
    tally = DryRunTally(DryRun.empty(comparing.old, comparing.new))
    parts = Random(comparing.old.version).sample(range(SAMPLED_SEGMENTS), SAMPLED_SEGMENTS)  # noqa: S311  no secret
    for compared, history in enumerate(_histories(reader, parts, most, progress), 1):
        _count(tally, comparing, history)
        if compared == leads or is_time_up():
            return DryRunReport(comparing, tally.dry_run(), is_all=False)
    return DryRunReport(comparing, tally.dry_run(), is_all=True)


def since_of(now: Millis) -> Millis:
    """Return since when alerts are to be read, by when they were sealed: those sent a day later are found, too."""
    return now - ALERT_SPAN - DAY


def count_sent(
    alerts: Iterable[AlertRecord], now: Millis, is_time_up: Callable[[], bool] = lambda: False
) -> SentAlerts:
    """Return what was sent in the last 30 days, of alerts that come newest first; digests are no alerts."""
    count, accounts, leads, is_all = 0, 0, dict[str, int](), True
    for alert in alerts:
        if is_time_up():
            is_all = False
            break
        if alert.sent_at is None or not now - ALERT_SPAN < alert.sent_at <= now:
            continue
        count += 1
        for entry in alert.entries:
            if entry.lead.startswith(ACCOUNT_PREFIX):
                accounts += 1
            else:
                leads[entry.lead] = leads.get(entry.lead, 0) + 1
    return SentAlerts(count, leads, accounts, is_all)


def _histories(reader: HistoryReader, parts: Iterable[int], most: int, progress: Progress) -> Iterator[History]:
    for part in parts:
        for page in _pages(reader, part, SAMPLED_SEGMENTS, most):
            yield from page.histories
            progress(page)


def _pages(reader: HistoryReader, segment: int, segments: int, most: int) -> Iterator[HistoryPage]:
    page = reader.read(segment, segments, None, most)
    yield page
    while page.after is not None:
        page = reader.read(segment, segments, page.after, most)
        yield page


def _count(tally: DryRunTally, comparing: Comparing, history: History) -> None:
    try:
        compared = compare_lead(comparing, history)
    except (ValueError, LookupError, TypeError):
        # One lead that cannot be read must not end the run of a million others.
        tally.fail()
    else:
        tally.add(compared)


def _score(comparing: Comparing, ruleset: Ruleset, history: History) -> Score:
    state = _state(comparing, ruleset, history)
    told = [event for event in history.account_events if event.get("groupId") == state.account]
    account = advance_account(AccountState.empty(ruleset), told)
    return score_now(state, account, to_datetime(comparing.now))


def _state(comparing: Comparing, ruleset: Ruleset, history: History) -> State:
    """Return the state as `usecases.forest.load_state` has it; of a lead that is not stored, what its log gives."""
    body = history.body
    if body is not None:
        try:
            return State.from_json(ruleset, body.state)
        except StaleState:
            pass
    state = advance(State.empty(ruleset), history.events)
    known = _before_the_log(comparing, ruleset, history)
    return state if known is None else merge(state, known)


def _before_the_log(comparing: Comparing, ruleset: Ruleset, history: History) -> State | None:
    body = history.body
    if body is None:
        return None
    return State.lasting(ruleset, body.state, until=comparing.now - comparing.retention)
