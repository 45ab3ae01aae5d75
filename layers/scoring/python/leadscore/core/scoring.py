"""The score of one lead at an instant: a pure function of its set of events, the ruleset and the instant.

Invariant: all sums are sums of integers, so that no order can matter and the factors add up to the total to the last
unit. Floats appear only at the surface, as units over 2^40.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from leadscore.core.decay import to_points
from leadscore.core.instants import Millis, format_instant, from_datetime, parse_instant, to_datetime
from leadscore.core.ledger import Bounds, Ledger, open_ledger, tier_of
from leadscore.core.matcher import chosen
from leadscore.core.missing import Missed, find_missed, measure_coverage
from leadscore.core.next_change import find_next_change, highest_total
from leadscore.core.occurrences import Kept
from leadscore.core.ruleset import ACCOUNT, DISQUALIFIED, Criterion, Ruleset
from leadscore.core.state import AccountState, Event, HandRaise, State, advance, advance_account
from leadscore.core.traits import canonical_json


class Cuts(NamedTuple):
    """What caps took off a factor, in points with the factor's sign; negative points that are cut are given back."""

    criterion: float
    group: float
    total: float

    def to_dict(self) -> dict[str, float]:
        """Return the cuts as plain JSON types."""
        return {"criterion": self.criterion, "group": self.group, "total": self.total}


class Factor(NamedTuple):
    """One line of the explanation: a criterion that counts.

    `raw` are its points without decay and caps, `decayed` what time left of them, and `points`, which is `decayed`
    less all `cuts`, what it adds to the total. `occurrences` are the kept events that count, oldest first; a
    criterion on traits alone has none.
    """

    criterion: str
    group: str
    raw: float
    decayed: float
    cuts: Cuts
    points: float
    occurrences: Kept
    definition: Criterion

    def to_dict(self) -> dict[str, object]:
        """Return the factor as plain JSON types."""
        return {
            "criterion": self.criterion,
            "group": self.group,
            "points": self.points,
            "raw": self.raw,
            "decayed": self.decayed,
            "cuts": self.cuts.to_dict(),
            "occurrences": [{"event": seen.event, "time": format_instant(seen.time)} for seen in self.occurrences],
        }


@dataclass(frozen=True)
class Score:
    """The score of one lead as of `at`; the factors' points add up to `total`.

    `groups` are sums within each group's bounds, before the total's; fit and engagement are always among them.
    `disqualified_by` names the criteria that hold the tier at "disqualified". What is not needed on every event is
    worked out when it is first asked for.
    """

    total: float
    tier: str
    groups: dict[str, float]
    disqualified_by: tuple[str, ...]
    converted_at: datetime | None
    raised: HandRaise | None
    version: str
    at: datetime
    _basis: _Basis = field(repr=False, compare=False)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The criteria that count, in ruleset order."""
        return _explain(self._basis.ledger, self._basis.decayed)

    @cached_property
    def missed(self) -> tuple[Missed, ...]:
        """The criteria that do not count, in ruleset order, each with its reason."""
        basis = self._basis
        return find_missed(basis.ledger.ruleset, basis.kept, basis.view, basis.ledger.worths, basis.at)

    @property
    def ledger(self) -> Ledger:
        """What counts, from which it follows what would count otherwise."""
        return self._basis.ledger

    @property
    def view(self) -> Mapping[str, object]:
        """The traits that trait patterns were matched with. May contain personal data: do not log."""
        return self._basis.view

    @property
    def raised_at(self) -> datetime | None:
        """When the lead last raised its hand."""
        return None if self.raised is None else to_datetime(self.raised.time)

    @cached_property
    def internal(self) -> bool:
        """Whether the alert policy takes the lead, by its traits, for one of the company's own."""
        matcher = self._basis.ledger.ruleset.internal_matcher
        return matcher is not None and bool(matcher.match_bits(self._basis.view))

    @cached_property
    def coverage(self) -> float:
        """The share, from 0 to 1, of the points of the fit criteria on traits whose traits are all known."""
        return measure_coverage(self._basis.ledger.ruleset, self._basis.view)

    @cached_property
    def next_change_at(self) -> datetime | None:
        """The next instant at which time alone changes the tier, None where it never does."""
        found = find_next_change(self._basis.ledger, self._basis.at)
        return None if found is None else to_datetime(found)

    @cached_property
    def ceiling(self) -> float:
        """A total that the lead does not exceed from `at` on without a new event."""
        return to_points(highest_total(self._basis.ledger, self._basis.at))

    def to_dict(self) -> dict[str, object]:
        """Return the score as plain JSON types, in a fixed order: equal sets of events give equal texts."""
        return {
            "version": self.version,
            "at": format_instant(self._basis.at),
            "total": self.total,
            "tier": self.tier,
            "groups": self.groups,
            "factors": [factor.to_dict() for factor in self.factors],
            "missed": [missed.to_dict() for missed in self.missed],
            "coverage": self.coverage,
            "disqualified_by": list(self.disqualified_by),
            "next_change_at": _text(self.next_change_at),
            "converted_at": _text(self.converted_at),
            "raised_at": _text(self.raised_at),
            "raised_by": None if self.raised is None else self.raised.name,
        }


class _Basis(NamedTuple):
    """What a score was made from, for the parts of it that are worked out on demand."""

    ledger: Ledger
    decayed: list[int]
    kept: Mapping[str, Kept]
    view: Mapping[str, object]
    at: Millis


def score_state(state: State, at: datetime, account: AccountState | None = None) -> Score:
    """Return the lead's score as of `at`; `account` is that of `state.account`, where its traits are known.

    Raises ValueError where the state has seen later events: a past score needs a replay of the log up to then.
    """
    instant = from_datetime(at)
    newest = state.newest
    if newest is not None and instant < newest:
        raise ValueError(
            f"the state has seen events up to {format_instant(newest)}: "
            f"replay the log to score as of {format_instant(instant)}"
        )
    ruleset = state.ruleset
    view = {**state.traits, ACCOUNT: account.traits if account is not None else {}}
    matching = chosen(ruleset.characteristics, ruleset.trait_matcher.match_bits(view))
    ledger = open_ledger(ruleset, state.kept, matching, instant)
    decayed = [worth.decayed_at(instant) for worth in ledger.worths]
    units = [worth.capped(amount) for worth, amount in zip(ledger.worths, decayed, strict=True)]
    sums = ledger.group_sums(units)
    total = ledger.total_bounds.clamp(sum(sums.values()))
    return Score(
        total=to_points(total),
        tier=DISQUALIFIED if ledger.gates else ruleset.tiers[tier_of(ruleset, total)].name,
        groups={name: to_points(sums.get(name, 0)) for name in ruleset.reported_groups},
        disqualified_by=tuple(gate.criterion.id for gate in ledger.gates),
        converted_at=None if state.goal is None else to_datetime(state.goal.time),
        raised=state.raised,
        version=ruleset.version,
        at=to_datetime(instant),
        _basis=_Basis(ledger, decayed, state.kept, view, instant),
    )


def score_events(ruleset: Ruleset, events: Iterable[Event], at: datetime) -> Score:
    """Return the score of one lead as of `at` from all of its events, in any order, repeated or not.

    Events after `at` are left out. The account's traits are those that the lead's own `group` events say.
    """
    known = _distinct(events, from_datetime(at))
    state = advance(State.empty(ruleset), known)
    groups = [event for event in known if event["type"] == "group" and event.get("groupId") == state.account]
    return score_state(state, at, advance_account(AccountState.empty(ruleset), groups))


def _distinct(events: Iterable[Event], until: Millis) -> list[Event]:
    """Return the events up to `until`, one per message id; of unequal copies the newest, then the last as JSON."""
    distinct: dict[object, Event] = {}
    for event in events:
        if parse_instant(str(event["timestamp"])) > until:
            continue
        known = distinct.setdefault(event["messageId"], event)
        if known is not event and _copy_order(event) > _copy_order(known):
            distinct[event["messageId"]] = event
    return list(distinct.values())


def _copy_order(event: Event) -> tuple[Millis, str]:
    return parse_instant(str(event["timestamp"])), canonical_json(event)


def _explain(ledger: Ledger, decayed: Sequence[int]) -> tuple[Factor, ...]:
    """Return the factors, with what each cap took of them; `decayed` are the worths' units before all caps."""
    capped = [worth.capped(units) for worth, units in zip(ledger.worths, decayed, strict=True)]
    grouped = list(capped)
    for bounds, places in ledger.groups.values():
        _cut(grouped, places, bounds)
    final = list(grouped)
    _cut(final, range(len(final)), ledger.total_bounds)
    return tuple(
        Factor(
            criterion=worth.criterion.id,
            group=worth.criterion.group,
            raw=float(worth.criterion.points * len(worth.terms)),
            decayed=to_points(decayed[place]),
            cuts=Cuts(
                criterion=to_points(decayed[place] - capped[place]),
                group=to_points(capped[place] - grouped[place]),
                total=to_points(grouped[place] - final[place]),
            ),
            points=to_points(final[place]),
            occurrences=worth.occurrences,
            definition=worth.criterion,
        )
        for place, worth in enumerate(ledger.worths)
        if decayed[place] != 0
    )


def _cut(units: list[int], places: Iterable[int], bounds: Bounds) -> None:
    """Bring the sum of `units` at `places` within `bounds`, taking from the last place of the sign that is too much."""
    where = list(places)
    total = sum([units[place] for place in where])
    surplus = total - bounds.clamp(total)
    for place in reversed(where):
        taken = min(surplus, max(units[place], 0)) if surplus > 0 else max(surplus, min(units[place], 0))
        units[place] -= taken
        surplus -= taken


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(from_datetime(instant))
