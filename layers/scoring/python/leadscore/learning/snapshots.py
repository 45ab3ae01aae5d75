"""What was known of a lead at a moment T, and what became of it after: the rows that everything is learned from.

    first event ... T ............ T + window ........ now
    |--- scored ---||--- labelled ---|                      left out while T + window is after now

Invariant: nothing after T has a part in the score or in the choice of T, and nothing but the first conversion has one
in the label. Time is the events' own; what is only received later counts as known, as an imported history has no
other. The score is the core's, under whichever ruleset.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from leadscore.core.instants import DAY, Millis, parse_instant, to_datetime
from leadscore.core.ruleset import DISQUALIFIED, Ruleset
from leadscore.core.scoring import Score, score_state
from leadscore.core.state import AccountState, State, advance, advance_account
from leadscore.learning.samples import TimeSplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadscore.core.state import Event

# Why a lead is no part of a sample. "no moment": it has no event, or never left the lowest tier where that is asked;
# "older than the log": its log may have begun before the oldest events that are kept.
Omission = Literal["no moment", "too recent", "converted before", "disqualified", "older than the log"]

_LEAST_AGE, _MOST_AGE = 1 * DAY, 30 * DAY


@dataclass(frozen=True, slots=True)
class LeadSnapshot:
    """One lead at the moment `at`: how strongly each criterion held, and whether it converted within the window.

    `strengths` are (place among the ruleset's criteria that have points, decayed points over points), as
    `samples.Tally` counts them; `total` is the score as it was, with all caps.
    """

    at: Millis
    strengths: tuple[tuple[int, float], ...]
    total: float
    converted: bool


def take_snapshot(
    ruleset: Ruleset,
    events: Iterable[Event],
    at: Millis,
    *,
    window: Millis,
    now: Millis,
    account_events: Iterable[Event] = (),
) -> LeadSnapshot | Omission:
    """Return the lead of `events` at a moment, or why it is left out; events may be in any order.

    The label is whether the first conversion is after `at`, and at `at + window` at the latest. `account_events` are
    `group` events of others, for the traits of the lead's account. Raises ValueError without a goal in the ruleset.
    """
    goal = ruleset.goal_bit
    if not goal:
        raise ValueError("the ruleset names no goal: there is nothing to learn from")
    if at + window > now:
        return "too recent"
    dated = _dated(events)
    converted = min((time for time, event in dated if ruleset.event_matcher.match_bits(event) & goal), default=None)
    if converted is not None and converted <= at:
        return "converted before"
    score = _score(ruleset, dated, _dated(account_events), at)
    if score.tier == DISQUALIFIED:
        return "disqualified"
    scored = [criterion.id for criterion in ruleset.criteria if not criterion.disqualify]
    places = {name: place for place, name in enumerate(scored)}
    return LeadSnapshot(
        at=at,
        strengths=tuple((places[one.criterion], one.decayed / one.definition.points) for one in score.factors),
        total=score.total,
        converted=converted is not None and converted <= at + window,
    )


def find_qualified(ruleset: Ruleset, events: Iterable[Event], account_events: Iterable[Event] = ()) -> Millis | None:
    """Return the first moment at which an event brought the lead out of the lowest tier; None where none did.

    Later events have no part in it.
    """
    least = ruleset.tiers[-2].from_
    state, accounts = State.empty(ruleset), dict[str, AccountState]()
    own = [(time, event, True) for time, event in _dated(events)]
    others = [(time, event, False) for time, event in _dated(account_events)]
    for time, event, is_own in sorted([*own, *others], key=itemgetter(0)):
        before = state, accounts.get(state.account or "")
        if event["type"] == "group":
            name = str(event.get("groupId"))
            accounts[name] = advance_account(accounts.get(name) or AccountState.empty(ruleset), [event])
        if is_own:
            state = advance(state, [event])
        account = accounts.get(state.account or "")
        changed = state is not before[0] or account is not before[1]
        if changed and least is not None and score_state(state, to_datetime(time), account).total >= least:
            return time
    return None


def draw_moment(first: Millis, seed: str) -> Millis:
    """Return a moment 1 to 30 days after the lead's first event; later events have no part in it.

    Give each lead a `seed` of its own. Moments are spread evenly by the first 52 bits of the seed's SHA-256, so that
    they depend neither on the order in which leads are read nor on anybody's generator.
    """
    share = int(sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:13], 16) / (1 << 52)
    return first + _LEAST_AGE + int(share * (_MOST_AGE - _LEAST_AGE))


def choose_split(moments: Sequence[Millis], gap: Millis) -> TimeSplit:
    """Return where the gate and the report begin, so that they have a fifth each of the leads that no gap leaves out.

    `gap` is the label's window. Where history is too short for that, they are a fifth of all leads, less the gaps.
    Raises ValueError without moments.
    """
    if not moments:
        raise ValueError("without leads there is nothing to split")
    ordered = sorted(moments)

    def split(size: int) -> tuple[TimeSplit, int]:
        """Return the split with so many leads to judge by and to report on, and how many are left to learn from."""
        report_from = ordered[-size]
        gate_from = ordered[max(0, bisect_right(ordered, report_from - gap) - size)]
        return TimeSplit(gate_from, report_from, gap), bisect_right(ordered, gate_from - gap)

    sizes = range(1, len(ordered) // 5 + 1)
    # The more leads the later slices have, the fewer the first one has.
    most = bisect_left(sizes, 1, key=lambda size: int(split(size)[1] < 3 * size))
    if most:
        return split(most)[0]
    return TimeSplit(ordered[len(ordered) * 6 // 10], ordered[len(ordered) * 8 // 10], gap)


def _score(
    ruleset: Ruleset, dated: Iterable[tuple[Millis, Event]], others: Iterable[tuple[Millis, Event]], at: Millis
) -> Score:
    known = [event for time, event in dated if time <= at]
    state = advance(State.empty(ruleset), known)
    groups = [*known, *(event for time, event in others if time <= at)]
    own = [event for event in groups if event["type"] == "group" and event.get("groupId") == state.account]
    return score_state(state, to_datetime(at), advance_account(AccountState.empty(ruleset), own))


def _dated(events: Iterable[Event]) -> list[tuple[Millis, Event]]:
    return [(parse_instant(str(event["timestamp"])), event) for event in events]
