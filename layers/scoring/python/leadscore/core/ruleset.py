"""The ruleset as frozen, typed values: what the parser makes of a document and everything else works from.

Invariants that the parser guarantees and nothing checks again: criterion ids are unique and in document order;
every criterion's group is in `groups`; tiers fall strictly and only the last has no bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from leadscore.core.instants import Millis
from leadscore.core.matcher import Matcher, chosen
from leadscore.core.patterns import Pattern, parse_pattern

MeasureKind = Literal["count", "distinct", "sum", "days"]
RollUpKind = Literal["decreasing", "sum", "max", "breadth"]
DISQUALIFIED = "disqualified"
# The key under which trait patterns read the traits of the lead's account.
ACCOUNT = "account"


class Tier(NamedTuple):
    """A name for all scores from `from_` up to the next higher tier; None is the lowest tier."""

    name: str
    from_: float | None


class Group(NamedTuple):
    """A named set of criteria with its own bounds in points; None is no bound."""

    name: str
    max: float | None = None
    min: float | None = None
    half_life: Millis | None = None


class Measure(NamedTuple):
    """What a thresholded criterion measures; `path` is the field of `distinct` and `sum`, else empty."""

    kind: MeasureKind
    path: tuple[str, ...] = ()


class Criterion(NamedTuple):
    """A pattern worth points: on events, on traits, or on both.

    `half_life` is already resolved against the group's; it is None where nothing decays.
    `at_least` is set exactly for thresholded criteria, and then `measure` is too.
    `limit` is how many occurrences are kept: for `sum` also the most that are added up.
    """

    id: str
    group: str
    points: int
    event: Pattern | None = None
    traits: Pattern | None = None
    limit: int = 1
    within: Millis | None = None
    half_life: Millis | None = None
    at_least: float | None = None
    measure: Measure | None = None
    max: float | None = None
    disqualify: bool = False
    label: str = ""


class WorkingHours(NamedTuple):
    """When people may be told, by the clock of a time zone.

    That is on `days` (Monday is 0), from the minute `start` of the day up to but not in the minute `end`.
    """

    time_zone: str
    days: frozenset[int]
    start: int
    end: int


class DigestPolicy(NamedTuple):
    """When the digest goes out: on `days` (Monday is 0) from the minute `at` on, by the clock of a time zone."""

    time_zone: str
    days: frozenset[int]
    at: int


class AlertPolicy(NamedTuple):
    """When people are told: on entering `tier`, again only after the score was below `rearm_below`.

    `cooldown` is between two alerts on one lead, `account_cooldown` between two of one account; `delay` is how long an
    alert waits for more. `always` are the names of the track events by which a lead raises its hand. None of `hours`
    is any hour. Leads that have converted, where `suppress_converted`, and those whose traits match `internal` are not
    told of. `accounts` says whether people are told of accounts that enter the tier, too. More
    alerts in a week than `warn_above` are said to be too many.
    """

    tier: str
    rearm_below: float
    cooldown: Millis
    account_cooldown: Millis = 0
    delay: Millis = 0
    min_fit: float | None = None
    always: tuple[str, ...] = ()
    hours: WorkingHours | None = None
    suppress_converted: bool = True
    internal: Pattern | None = None
    accounts: bool = True
    warn_above: int | None = None


class NurturePolicy(NamedTuple):
    """Which leads machines are told to nurture: those of `tier` that fit and have gone quiet.

    That is a fit of `min_fit` or more and no event for `silent_for`. A lead is told of once in `every` at most, and of
    all leads no more than `daily` on a day.
    """

    tier: str
    min_fit: float
    silent_for: Millis
    every: Millis
    daily: int


class IdentityPolicy(NamedTuple):
    """Which ids identify a person beside userId and anonymousId.

    `email` takes the e-mail trait of `identify` as an identity; `external` are the accepted types of
    `context.externalIds`.
    """

    email: bool = False
    external: frozenset[str] = frozenset()


class RollUp(NamedTuple):
    """How the totals of an account's people become its own.

    `share` is what `decreasing` takes of each further person, as a part of the person before. `points` is what
    `breadth` gives for each further person whose total is `from_` or more.
    """

    kind: RollUpKind = "decreasing"
    share: float = 0.5
    points: int = 0
    from_: float = 0.0


@dataclass(frozen=True)
class Ruleset:
    """A whole ruleset, compiled.

    `version` names the content: equal documents, in YAML or JSON, in any key order, have equal versions.
    `state_digest` names the part of it that a stored state depends on; while it stays the same, a state can be
    scored under a newer ruleset without replaying the events.
    Machines are told of a score that differs by `score_change` or more from what they were last told; None is never.
    """

    version: str
    state_digest: str
    document: str = field(repr=False)
    tiers: tuple[Tier, ...]
    groups: dict[str, Group]
    criteria: tuple[Criterion, ...]
    goal: Pattern | None
    alerts: AlertPolicy | None
    total_min: float
    total_max: float | None
    identity: IdentityPolicy = field(default_factory=IdentityPolicy)
    accounts: RollUp = field(default_factory=RollUp)
    score_change: float | None = None
    nurture: NurturePolicy | None = None
    digest: DigestPolicy | None = None

    @cached_property
    def behaviour(self) -> tuple[Criterion, ...]:
        """The criteria with an event pattern, in ruleset order."""
        return tuple(c for c in self.criteria if c.event is not None)

    @cached_property
    def characteristics(self) -> tuple[Criterion, ...]:
        """The criteria with a traits pattern, in ruleset order."""
        return tuple(c for c in self.criteria if c.traits is not None)

    @cached_property
    def event_matcher(self) -> Matcher:
        """Answers bit i for the i-th of `behaviour`, then `goal_bit` and `raise_bit`."""
        patterns = [c.event for c in self.behaviour if c.event is not None]
        return Matcher([*patterns, *(one for one in (self.goal, self._hand_raise) if one is not None)])

    @cached_property
    def goal_bit(self) -> int:
        """What `event_matcher` answers for the goal; 0 where there is none."""
        return 0 if self.goal is None else 1 << len(self.behaviour)

    @cached_property
    def raise_bit(self) -> int:
        """What `event_matcher` answers for a hand-raise; 0 where none is asked for."""
        return 0 if self._hand_raise is None else 1 << len(self.behaviour) + (self.goal is not None)

    @cached_property
    def internal_matcher(self) -> Matcher | None:
        """Answers bit 0 for traits that the alert policy calls internal; None where it calls none so."""
        return None if self.alerts is None or self.alerts.internal is None else Matcher([self.alerts.internal])

    @cached_property
    def trait_matcher(self) -> Matcher:
        """Answers bit i for the i-th of `characteristics`."""
        return Matcher([c.traits for c in self.characteristics if c.traits is not None])

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each criterion in ruleset order, by its id."""
        return {criterion.id: place for place, criterion in enumerate(self.criteria)}

    @cached_property
    def reported_groups(self) -> tuple[str, ...]:
        """The groups that every score names: fit, engagement, and the others that some criterion is in."""
        used = {criterion.group for criterion in self.criteria if not criterion.disqualify}
        always = ("fit", "engagement")
        return (*always, *(name for name in self.groups if name in used and name not in always))

    @cached_property
    def lead_traits(self) -> frozenset[str]:
        """The top-level traits of a lead that some pattern reads."""
        return frozenset(path[0] for path in self._trait_paths if path[0] != ACCOUNT)

    @cached_property
    def account_traits(self) -> frozenset[str]:
        """The top-level traits of an account that some pattern reads."""
        return frozenset(path[1] for path in self._trait_paths if path[0] == ACCOUNT and len(path) > 1)

    @property
    def _trait_paths(self) -> Iterator[tuple[str, ...]]:
        for criterion in self.characteristics:
            if criterion.traits is not None:
                yield from criterion.traits.paths
        if self.alerts is not None and self.alerts.internal is not None:
            yield from self.alerts.internal.paths

    @cached_property
    def _hand_raise(self) -> Pattern | None:
        if self.alerts is None or not self.alerts.always:
            return None
        return parse_pattern({"type": ["track"], "event": list(self.alerts.always)}, "", [])


def match(ruleset: Ruleset, event: Mapping[str, object]) -> tuple[str, ...]:
    """Return the ids of the behaviour criteria that one normalised event matches, in ruleset order."""
    behaviour = ruleset.behaviour
    bits = ruleset.event_matcher.match_bits(event) & ~(ruleset.goal_bit | ruleset.raise_bit)
    return tuple([criterion.id for criterion in chosen(behaviour, bits)])
