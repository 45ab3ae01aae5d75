"""Announcing leads that fit and have gone quiet, with what would lift them: the best first, and few of them a day.

    schedule --> nurture --walks the ranking down through the tier--> judge --> take --> bus --> settle
                  ^  |                                                            |
                  +--+ where one run has looked at enough                the lead's mark, and one of the day's budget

A lead is judged as it stands now, and the log is asked whether it was silent: what matches nothing is a sign of life.

Invariants: a lead is taken in one transaction with one of the day's budget, before it is announced, so that runs which
overlap tell of it once and stay within the budget. A run that dies in between leaves a mark that says so: a later one
announces the lead again under the same id. The mark lies with the person's own, so that erasing removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from leadscore.core.alert_desk import desk_name
from leadscore.core.changes import change_id
from leadscore.core.identity import Identity, display_id, pseudonym
from leadscore.core.instants import DAY, HOUR, Millis, format_instant, from_datetime, parse_instant
from leadscore.core.nurturing import can_rise, least_total, look_ahead
from leadscore.core.signals import LeadNeedsNurturing, call_for_nurturing
from leadscore.usecases.deciding import RANK_SLACK, bounds_loosely, highest_score, is_surely_elsewhere, rank_key
from leadscore.usecases.forest import load_log, load_tree
from leadscore.usecases.records import Reader
from leadscore.usecases.standing import describe_person, score_leads

if TYPE_CHECKING:
    from leadscore.core.ruleset import NurturePolicy, Ruleset
    from leadscore.core.scoring import Score
    from leadscore.core.state import State
    from leadscore.quarantine import Reason
    from leadscore.usecases.alert_records import StoredDesk
    from leadscore.usecases.records import Event, Ranked, StoredIdentity

# What one run looks at, at most; the next goes on below.
LEADS_PER_RUN = 2_000
ENTRIES_PER_RUN = 50_000
EVENTS_PER_RUN = 500_000
_CHUNK = 100
# Whoever took a lead so long ago has died since: Lambda lets nobody work for longer than 15 minutes.
ABANDONED_AFTER: Millis = HOUR // 2

# `spent` is the budget of the day, `changed` a lead that was written, erased or taken since it was read.
Taken = Literal["taken", "spent", "changed"]


class NurtureMark(NamedTuple):
    """That a lead was taken at an instant to be announced as `id`; `told` once the bus has the announcement."""

    id: str
    at: Millis
    told: bool = False


class Budget(NamedTuple):
    """How many leads may be taken on a day of UTC, which is written `2026-01-31`."""

    day: str
    most: int


class Place(NamedTuple):
    """Where a walk of the ranking has got to. May contain personal data: do not log."""

    key: int
    identity: Identity

    def encode(self) -> str:
        """Return the place as a text."""
        return f"{self.key}#{self.identity}"

    @classmethod
    def decode(cls, text: str) -> Place:
        """Return the place that `encode` made."""
        key, _, identity = text.partition("#")
        return cls(int(key), identity)


class Ranking(Protocol):
    """Where the walk of the ranking can begin anywhere."""

    def walk_ranking_below(self, key: int | None, after: Identity = "") -> Iterator[Ranked]:
        """Yield what `walk_ranking` does from a key down, of those with that key itself the identities behind one."""


class RankedReader(Reader, Ranking, Protocol):
    """All the reads of the walk."""


class Marks(Protocol):
    """Where it is marked that leads were announced, and counted how many on a day."""

    def find(self, identities: Collection[Identity]) -> dict[Identity, NurtureMark]:
        """Return the marks of those of the identities that have one."""

    def spent(self, day: str) -> int:
        """Return how many leads were taken on a day."""

    def take(
        self, lead: StoredIdentity, before: NurtureMark | None, mark: NurtureMark, kept_until: Millis, budget: Budget
    ) -> Taken:
        """Mark a lead whose mark is `before`, and count it, or do neither."""

    def settle(self, identity: Identity, mark: NurtureMark) -> None:
        """Write that the bus has the announcement; where the mark is another one by now, or gone, nothing."""


class Held(Protocol):
    """Where it is marked that somebody's events must not count."""

    def find_held(self, identities: Collection[Identity]) -> dict[Identity, Reason]:
        """Return which of the identities are marked as such whose events must not count, and why."""


class SnoozingDesks(Protocol):
    """Where it is noted of which leads people want to hear nothing for a while."""

    def load(self, name: str) -> StoredDesk:
        """Return a desk, a blank one where it was never written."""


class Bus(Protocol):
    """Where leads are announced."""

    def put(self, signal: LeadNeedsNurturing) -> None:
        """Return once the bus has the signal; raise otherwise."""


@dataclass(frozen=True, slots=True)
class NurtureTools:
    """What a run works with."""

    reader: RankedReader
    marks: Marks
    held: Held
    desks: SnoozingDesks
    bus: Bus
    clock: Callable[[], datetime]


class Run(NamedTuple):
    """What a run has done: how many leads it announced and judged, and `place`, from which another should go on.

    `loose` are leads whose key in the ranking should be moved.
    """

    announced: int = 0
    judged: int = 0
    place: Place | None = None
    loose: tuple[Identity, ...] = ()


class Candidate(NamedTuple):
    """A lead that is to be announced, the period of its mark being open."""

    root: StoredIdentity
    before: NurtureMark | None
    mark: NurtureMark
    signal: LeadNeedsNurturing


def nurture(tools: NurtureTools, ruleset: Ruleset, after: Place | None = None) -> Run:
    """Announce the best leads of the tier below `after` that fit and have gone quiet; raises what the bus raises.

    Best are those with the highest score among the leads that one run looks at, of equal ones the smaller identity.
    """
    policy = ruleset.nurture
    if policy is None:
        return Run()
    at = from_datetime(tools.clock())
    budget = Budget(format_instant(at)[: len("2026-01-31")], policy.daily)
    left = budget.most - tools.marks.spent(budget.day)
    if left <= 0:
        return Run()
    search = _Search(tools, ruleset, policy, at, left)
    place = search.go(after)
    announced = 0
    for candidate in search.best():
        taken = _announce(tools, policy, candidate, budget)
        if taken == "spent":
            place = None
            break
        announced += taken == "taken"
    return Run(announced, search.judged, None if announced >= left else place, tuple(search.loose))


def _announce(tools: NurtureTools, policy: NurturePolicy, candidate: Candidate, budget: Budget) -> Taken:
    root, mark = candidate.root, candidate.mark
    taken = tools.marks.take(root, candidate.before, mark, mark.at + policy.every + DAY, budget)
    if taken == "taken":
        tools.bus.put(candidate.signal)
        tools.marks.settle(root.identity, mark)
    return taken


class _Search:
    """The leads of the tier that fit and have gone quiet, as far as a run has looked."""

    def __init__(self, tools: NurtureTools, ruleset: Ruleset, policy: NurturePolicy, at: Millis, wanted: int) -> None:
        self.judged = 0
        self._read = 0
        self.loose: list[Identity] = []
        self._tools = tools
        self._ruleset = ruleset
        self._policy = policy
        self._at = at
        self._wanted = wanted
        self._found: dict[Identity, Candidate] = {}

    def best(self) -> list[Candidate]:
        """Return what was found and is wanted, best first."""
        order = sorted(self._found.values(), key=lambda one: (-one.signal.score, one.root.identity))
        return order[: self._wanted]

    def go(self, after: Place | None) -> Place | None:
        """Look at leads until enough are found that nobody to come can beat, or it is enough for one run.

        Return the place that was reached, None at the end of the tier.
        """
        looked, place = 0, after
        for entries in batched(self._entries(after), _CHUNK, strict=False):
            self._judge_all([entry.identity for entry in entries if not self._is_elsewhere(entry)])
            looked += len(entries)
            place = Place(entries[-1].rank_key, entries[-1].identity)
            bound = highest_score(place.key)
            certain = sum(1 for candidate in self._found.values() if candidate.signal.score >= bound)
            spent = self.judged >= LEADS_PER_RUN or looked >= ENTRIES_PER_RUN or self._read >= EVENTS_PER_RUN
            if certain >= self._wanted or spent:
                return place
        return None

    def _entries(self, after: Place | None) -> Iterator[Ranked]:
        """Yield the entries that a lead of the tier with enough fit can have."""
        tiers = self._ruleset.tiers
        here = next(i for i, tier in enumerate(tiers) if tier.name == self._policy.tier)
        above = tiers[here - 1].from_
        # A score that can rise by itself has a key above the tier that it is in.
        top = None if above is None or can_rise(self._ruleset) else rank_key(above) + RANK_SLACK
        least = least_total(self._ruleset, self._policy.min_fit)
        from_ = tiers[here].from_
        least = least if from_ is None else max(least, from_)
        place = after or (top, "")
        for entry in self._tools.reader.walk_ranking_below(*place):
            if highest_score(entry.rank_key) < least:
                return
            yield entry

    def _is_elsewhere(self, entry: Ranked) -> bool:
        return is_surely_elsewhere(entry, self._policy.tier, self._ruleset, self._at)

    def _judge_all(self, leads: Sequence[Identity]) -> None:
        tools = self._tools
        if not leads:
            return
        for root, state, score in score_leads(tools.reader, self._ruleset, leads, tools.clock()):
            self.judged += 1
            if root.body is not None and bounds_loosely(root.body.rank_key, score.ceiling):
                self.loose.append(root.identity)
            if self._may_be_told_of(state, score):
                candidate = self._look_closer(root, state, score)
                if candidate is not None:
                    self._found[root.identity] = candidate

    def _may_be_told_of(self, state: State, score: Score) -> bool:
        """Return whether nothing that the lead's own item tells speaks against it."""
        policy = self._policy
        return (
            score.tier == policy.tier
            and score.groups["fit"] >= policy.min_fit
            and score.converted_at is None
            and not score.internal
            and self._is_silent(state.newest)
        )

    def _look_closer(self, root: StoredIdentity, state: State, score: Score) -> Candidate | None:
        """Return the lead with its announcement, None where its mark, its log or what people said speak against it."""
        tools, at = self._tools, self._at
        tree = load_tree(tools.reader, root)
        names = [one.identity for one in tree]
        marks = tools.marks.find(names)
        mark = self._next_mark(root.identity, marks)
        if mark is None or tools.held.find_held(names) or self._is_snoozed(names, state):
            return None
        log = load_log(tools.reader, tree)
        self._read += len(log)
        times = [*_times(log), *([] if state.newest is None else [state.newest])]
        last_seen = max(times, default=None)
        if not self._is_silent(last_seen):
            return None
        signal = call_for_nurturing(
            id_=mark.id,
            at=format_instant(at),
            person=describe_person(display_id(root.identity), state),
            account=state.account,
            last_seen=None if last_seen is None else format_instant(last_seen),
            score=score,
            outlook=look_ahead(score),
        )
        return Candidate(root, marks.get(root.identity), mark, signal)

    def _next_mark(self, lead: Identity, marks: Mapping[Identity, NurtureMark]) -> NurtureMark | None:
        """Return the mark to make, None while the period of one that any id of the person has is not over."""
        at = self._at
        open_ = [mark for mark in marks.values() if at - mark.at < self._policy.every]
        if any(mark.told or at - mark.at < ABANDONED_AFTER for mark in open_):
            return None
        # What a run that died has left may have been announced: it is announced again as the same.
        return NurtureMark(min(open_, key=lambda mark: mark.at).id if open_ else change_id(lead, at, "nurture"), at)

    def _is_snoozed(self, names: Collection[Identity], state: State) -> bool:
        """Return whether people want to hear nothing of the person, by whichever id and with or without its account."""
        for name in map(pseudonym, names):
            for desk in sorted({desk_name(name, None), desk_name(name, state.account)}):
                if self._tools.desks.load(desk).desk.snoozed.get(name, self._at) > self._at:
                    return True
        return False

    def _is_silent(self, last_seen: Millis | None) -> bool:
        return last_seen is None or self._at - last_seen >= self._policy.silent_for


def _times(log: Iterable[Event]) -> Iterator[Millis]:
    return (parse_instant(str(event["timestamp"])) for event in log)
