"""From the histories of leads to the counts that everything is learned from, a lead at a time.

    History --Sampler--> Sample of a segment --merge--> Sample of all --> grouped, sliced, totals, pairs, facts

Invariant: nothing after a lead's moment T has a part in what is counted of it but the label and what is said to be
late, and a sample is a function of the set of histories: segments merged in any order give what one pass gives. So
identities that were joined only after T are leads of their own, all with the label of whom they turned out to be. What
is counted of a lead is what `take_snapshot` says of it; here each event is matched once, and in no order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from leadscore.core.decay import UNIT_BITS
from leadscore.core.identity import identities
from leadscore.core.instants import DAY, Millis, format_instant, parse_instant
from leadscore.core.matcher import Matcher
from leadscore.core.ruleset import ACCOUNT
from leadscore.core.state import State
from leadscore.core.traits import SURELY_SHORT_CHARACTERS, Claim, Claims, is_short, unite_claims
from leadscore.learning.facts import Facts, FactTally
from leadscore.learning.half_lives import FACTORS, with_half_lives
from leadscore.learning.insights import ENOUGH_LEADS
from leadscore.learning.past_scores import PastScorer
from leadscore.learning.samples import STEPS, Counts, Grouped, Tally
from leadscore.learning.snapshots import choose_split, draw_moment, find_qualified

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from leadscore.core.identity import Identity
    from leadscore.core.ruleset import Criterion, IdentityPolicy, Ruleset
    from leadscore.core.state import Event
    from leadscore.learning.past_scores import PastScore
    from leadscore.learning.samples import Slice, TimeSplit
    from leadscore.learning.snapshots import Omission
    from leadscore.usecases.histories import History
    from leadscore.usecases.records import LeadBody

WEEK: Millis = 7 * DAY
# A log without an event for so long has ended: what became of its leads since then is not known.
_SILENCE: Millis = 2 * DAY
# Who is first heard of so soon after the oldest events that a log keeps may well be an older lead that came back.
_MAY_HAVE_COME_BACK: Millis = 90 * DAY
# Scores are counted in steps of a sixteenth, rounded down: a tier that begins at a whole number keeps all its leads.
SCORE_STEP_BITS = 4
# A criterion is late when of the leads that ever have a trait which it reads so many got it only after their moment.
LATE_SHARE = 0.1
_ACCOUNT_TRAIT = f"{ACCOUNT}."
_STAMP_LENGTH = len("2026-01-31T23:59:59.000Z")
Moment = Literal["random", "qualified"]


class SampleKey(NamedTuple):
    """What a sample is of, in short: samples of different keys do not merge. `against` is "" where there is none."""

    ruleset: str
    against: str
    window: Millis
    now: Millis
    seed: int
    moment: Moment
    half_lives: bool = False
    horizon: Millis | None = None


class Timing(NamedTuple):
    """How many leads had the traits that a criterion reads by their moments, and how many got them only after."""

    known: int
    late: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a sample is of, the same for every segment.

    Leads are scored under `ruleset` at a moment T and labelled by their first conversion in (T, T + window]; a lead
    with T + window after `now` is left out. T is a moment 1 to 30 days after the lead's first event, drawn from `seed`
    and the lead's identity, or the first time that the lead left the lowest tier. With `against`, the same leads are
    scored under a second ruleset at the same T; with `half_lives`, also with all half-lives times each of `FACTORS`.
    Of a log that keeps nothing from before `horizon`, leads first heard of in the 90 days after it are left out.
    """

    ruleset: Ruleset
    now: Millis
    window: Millis = 30 * DAY
    seed: int = 0
    moment: Moment = "random"
    against: Ruleset | None = None
    half_lives: bool = False
    horizon: Millis | None = None

    @property
    def key(self) -> SampleKey:
        """What it is, in short."""
        return SampleKey(
            ruleset=self.ruleset.version,
            against="" if self.against is None else self.against.version,
            window=self.window,
            now=self.now,
            seed=self.seed,
            moment=self.moment,
            half_lives=self.half_lives,
            horizon=self.horizon,
        )


@dataclass(frozen=True)
class Sample:
    """How many leads had what at their moments, by the week of the moment (whole weeks since 1970).

    `criteria` are those of the ruleset that have points, and `weeks` the patterns of them. `totals` are true scores
    with all caps, `pairs` those under the two rulesets (empty without a second one; leads that the second one
    disqualifies are not in it), and `paced` those with the half-lives as they are and times a factor, by the factor's
    name; scores are in steps of a sixteenth, rounded down. `unread` are facts that no criterion
    reads. `timings` are of the criteria on traits. `omitted` are the leads left out, and `leads` and
    `events` all that were read. `newest` is the time of the newest event, 0 where there is none.
    """

    key: SampleKey
    criteria: tuple[str, ...]
    weeks: Mapping[int, Grouped] = field(default_factory=dict)
    totals: Mapping[int, Mapping[float, Counts]] = field(default_factory=dict)
    pairs: Mapping[int, Mapping[tuple[float, float], Counts]] = field(default_factory=dict)
    paced: Mapping[str, Mapping[int, Mapping[tuple[float, float], Counts]]] = field(default_factory=dict)
    unread: Facts = field(default_factory=Facts)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    omitted: Mapping[Omission, int] = field(default_factory=dict)
    leads: int = 0
    events: int = 0
    newest: Millis = 0

    @cached_property
    def facts(self) -> dict[str, Counts]:
        """The candidate facts that enough leads have: `event: NAME`, `page: PATH`, `trait: NAME = VALUE`, ..."""
        return self.unread.named(ENOUGH_LEADS)

    @property
    def late(self) -> frozenset[str]:
        """The criteria that read a trait which many leads had only after they were scored."""
        return frozenset(
            name for name, (known, late) in self.timings.items() if late and late >= LATE_SHARE * (known + late)
        )

    @property
    def log_end(self) -> Millis | None:
        """When the log ended, well before the sample was taken; None where it goes on."""
        return self.newest if 0 < self.newest < self.key.now - _SILENCE else None

    def labelled(self) -> Sample:
        """Return the sample without the weeks of which some window ends after the log did; these are too recent.

        What is not counted by week stays as it is.
        """
        end = self.log_end
        if end is None:
            return self
        labelled = {week for week in self.weeks if (week + 1) * WEEK + self.key.window <= end}
        omitted = Counter(self.omitted)
        omitted["too recent"] += sum(grouped.leads for week, grouped in self.weeks.items() if week not in labelled)
        return replace(
            self,
            weeks=_only(labelled, self.weeks),
            totals=_only(labelled, self.totals),
            pairs=_only(labelled, self.pairs),
            paced={name: _only(labelled, pairs) for name, pairs in self.paced.items()},
            omitted=+omitted,
        )

    def merge(self, *others: Sample) -> Sample:
        """Return the sample of all leads of this and of `others`, which must have no lead in common.

        Raises ValueError where one of them is of something else.
        """
        every = (self, *others)
        if any(part.key != self.key or part.criteria != self.criteria for part in others):
            raise ValueError("only samples of the same rulesets, moments and windows can be merged")
        empty = Grouped(self.criteria, {})
        weeks = sorted({week for part in every for week in part.weeks})
        timings = {name: [part.timings[name] for part in every] for name in self.timings}
        return Sample(
            key=self.key,
            criteria=self.criteria,
            weeks={week: empty.merge(*[part.weeks[week] for part in every if week in part.weeks]) for week in weeks},
            totals=_merged([part.totals for part in every]),
            pairs=_merged([part.pairs for part in every]),
            paced={name: _merged([part.paced[name] for part in every]) for name in self.paced},
            unread=self.unread.merge(*[part.unread for part in others]),
            timings={name: Timing(*map(sum, zip(*parts, strict=True))) for name, parts in timings.items()},
            omitted=sum((Counter(part.omitted) for part in every), Counter()),
            leads=sum(part.leads for part in every),
            events=sum(part.events for part in every),
            newest=max(part.newest for part in every),
        )

    def grouped(self, since: Millis | None = None, until: Millis | None = None) -> Grouped:
        """Return the patterns of all weeks, or of those that begin at `since` or later and before `until`."""
        return self._joined(
            week
            for week in self.weeks
            if (since is None or week * WEEK >= since) and (until is None or week * WEEK < until)
        )

    def sliced(self, split: TimeSplit) -> dict[Slice, Grouped]:
        """Return the patterns of each slice, in whole weeks: a week that is not wholly in one slice is in none."""
        slices: dict[Slice, list[int]] = {"fit": [], "gate": [], "report": []}
        for week in self.weeks:
            found = split.slice_of(week * WEEK)
            if found is not None and found == split.slice_of((week + 1) * WEEK - 1):
                slices[found].append(week)
        return {name: self._joined(weeks) for name, weeks in slices.items()}

    def to_dict(self) -> dict[str, object]:
        """Return the sample as plain JSON types; equal samples give equal texts."""
        return {
            "key": self.key._asdict(),
            "criteria": list(self.criteria),
            "steps": STEPS,
            "weeks": [[week, grouped.to_dict()["rows"]] for week, grouped in sorted(self.weeks.items())],
            "totals": _plain(self.totals),
            "pairs": _plain(self.pairs),
            "paced": {name: _plain(pairs) for name, pairs in sorted(self.paced.items())},
            "unread": self.unread.to_dict(),
            "timings": {name: list(timing) for name, timing in sorted(self.timings.items())},
            "omitted": dict(sorted(self.omitted.items())),
            "leads": self.leads,
            "events": self.events,
            "newest": self.newest,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> Sample:
        """Return the sample that `to_dict` wrote. Raises ValueError where it was written in other steps."""
        read = cast("dict[str, Any]", document)
        common = {"criteria": read["criteria"], "steps": read["steps"]}
        return cls(
            key=SampleKey(**read["key"]),
            criteria=tuple(read["criteria"]),
            weeks={week: Grouped.from_dict({**common, "rows": rows}) for week, rows in read["weeks"]},
            totals={week: {score: Counts(*counts) for score, counts in rows} for week, rows in read["totals"]},
            pairs=_pairs_of(read["pairs"]),
            paced={name: _pairs_of(pairs) for name, pairs in read["paced"].items()},
            unread=Facts.from_dict(read["unread"]),
            timings={name: Timing(*timing) for name, timing in read["timings"].items()},
            omitted=read["omitted"],
            leads=read["leads"],
            events=read["events"],
            newest=read["newest"],
        )

    def _joined(self, weeks: Iterable[int]) -> Grouped:
        return Grouped(self.criteria, {}).merge(*[self.weeks[week] for week in weeks])


class _Profile(NamedTuple):
    """The lead's own traits and those of its account, as they were at its moment."""

    traits: dict[str, object]
    account: dict[str, object]


class Sampler:
    """Reduces histories one by one to a sample."""

    def __init__(self, sampling: Sampling) -> None:
        """Raises ValueError where the ruleset names no goal."""
        ruleset = sampling.ruleset
        if ruleset.goal is None:
            raise ValueError("the ruleset names no goal: there is nothing to learn from")
        self._sampling = sampling
        self._is_goal: Callable[[Event], int] = Matcher([ruleset.goal]).match_bits
        self._scorer = PastScorer(ruleset)
        self._against = None if sampling.against is None else PastScorer(sampling.against)
        factors = FACTORS if sampling.half_lives else {}
        self._paced = {name: PastScorer(with_half_lives(ruleset, factor)) for name, factor in factors.items()}
        self._criteria = tuple(one.id for one in ruleset.criteria if not one.disqualify)
        self._weeks: dict[int, Tally] = {}
        self._totals: _Counted[float] = {}
        self._pairs: _Counted[tuple[float, float]] = {}
        self._pairs_paced: dict[str, _Counted[tuple[float, float]]] = {name: {} for name in self._paced}
        self._unread = FactTally(frozenset(path for one in ruleset.characteristics for path in _paths(one)))
        self._read = frozenset(_trait_read(path) for one in ruleset.characteristics for path in _paths(one))
        # The traits that criteria read, by which of them were known together; and those that came late, each alone.
        self._known = Counter[frozenset[str]]()
        self._late = Counter[str]()
        self._omitted: Counter[Omission] = Counter()
        self._leads = self._events = self._newest = 0

    def add(self, history: History) -> None:
        """Count one lead, or the several that it was at its moment."""
        self._events += len(history.events)
        for omission in self._count(history):
            self._leads += 1
            if omission is not None:
                self._omitted[omission] += 1

    def sample(self) -> Sample:
        """Return all that was counted so far."""
        timings = {}
        for criterion in self._sampling.ruleset.characteristics:
            names = {_trait_read(path) for path in _paths(criterion)}
            known = sum(len(names & together) * leads for together, leads in self._known.items())
            timings[criterion.id] = Timing(known, sum(self._late[name] for name in names))
        return Sample(
            key=self._sampling.key,
            criteria=self._criteria,
            weeks={week: tally.grouped() for week, tally in self._weeks.items()},
            totals=_frozen(self._totals),
            pairs=_frozen(self._pairs),
            paced={name: _frozen(pairs) for name, pairs in self._pairs_paced.items()},
            unread=self._unread.facts(),
            timings=timings,
            omitted=dict(self._omitted),
            leads=self._leads,
            events=self._events,
            newest=self._newest,
        )

    def _count(self, history: History) -> list[Omission | None]:
        """Count all leads that it was at its moment; return of each why it is left out, None where it is not."""
        stamps = _stamps(history.events)
        if not stamps:
            return ["no moment"]
        first, sampling = parse_instant(min(stamps)), self._sampling
        self._newest = max(self._newest, parse_instant(max(stamps)))
        if sampling.horizon is not None and first < sampling.horizon + _MAY_HAVE_COME_BACK:
            return ["older than the log"]
        at = self._choose_moment(history, first)
        if at is None:
            return ["no moment"]
        if at + sampling.window > sampling.now:
            return ["too recent"]
        divided = _divided(history.events, stamps, format_instant(at))
        others = _Divided([], [], [])
        if history.account_events:
            others = _divided(history.account_events, _stamps(history.account_events), format_instant(at))
        lead = history.lead
        return [
            # What is stored of the lead from before its log is of the root, whoever joined it later.
            self._count_part(part, others, history.body if root == lead else None, first, at)
            for root, part in _parts(history, divided, at, sampling.ruleset.identity)
        ]

    def _count_part(
        self, divided: _Divided, others: _Divided, body: LeadBody | None, first: Millis, at: Millis
    ) -> Omission | None:
        """Count one lead as it was, or return why it is left out."""
        sampling = self._sampling
        known, telling, after = divided
        before = _read_before(sampling.ruleset, body, first)
        reading = self._scorer.read(known, before)
        if reading.converted:
            return "converted before"
        earlier = None if sampling.against is None else _read_before(sampling.against, body, first)
        traits, account = _profile(telling, others.known, [state for state in (before, earlier) if state is not None])
        score = self._scorer.score(reading, traits, account, at)
        if score is None:
            return "disqualified"
        converted = self._has_converted(after, at + sampling.window)
        week = at // WEEK
        self._tally(week).add(score.strengths, converted=converted)
        total = _in_steps(score)
        _count_one(self._totals, week, total, converted=converted)
        if self._against is not None:
            other = self._against.score(self._against.read(known, earlier), traits, account, at)
            if other is not None:
                _count_one(self._pairs, week, (total, _in_steps(other)), converted=converted)
        for name, scorer in self._paced.items():
            # What is kept of events does not depend on half-lives.
            other = scorer.score(reading, traits, account, at)
            if other is not None:
                _count_one(self._pairs_paced[name], week, (total, _in_steps(other)), converted=converted)
        self._unread.add(reading.unread, traits, account, converted=converted)
        self._note_timing(traits, account, (*after, *others.after) if others.after else after)
        return None

    def _choose_moment(self, history: History, first: Millis) -> Millis | None:
        sampling = self._sampling
        if sampling.moment == "random":
            return draw_moment(first, f"{sampling.seed}:{history.lead}")
        return find_qualified(sampling.ruleset, history.events, history.account_events)

    def _tally(self, week: int) -> Tally:
        tally = self._weeks.get(week)
        if tally is None:
            tally = self._weeks[week] = Tally(self._criteria)
        return tally

    def _has_converted(self, events: Iterable[Event], until: Millis) -> bool:
        goals = [event for event in events if self._is_goal(event)] if events else ()
        return any(parse_instant(str(event["timestamp"])) <= until for event in goals)

    def _note_timing(self, traits: Mapping[str, object], account: Mapping[str, object], after: Iterable[Event]) -> None:
        """Note which traits that criteria read were known by the moment, and which were told only after it.

        What an account's trait was before it was last written nobody keeps: it counts as told only then.
        """
        known = self._read.intersection(traits)
        if account:
            known |= self._read.intersection([_ACCOUNT_TRAIT + name for name in account])
        self._known[known] += 1
        told = {name for event in after if event["type"] == "identify" for name in _traits(event)}
        told |= {_ACCOUNT_TRAIT + name for event in after if event["type"] == "group" for name in _traits(event)}
        if told:
            self._late.update((self._read & told) - known)


def choose_sample_split(sample: Sample) -> TimeSplit:
    """Return where the gate and the report begin: at weeks, with a fifth each of the leads that no gap leaves out.

    The gap is the label's window. Raises ValueError without leads.
    """
    moments = [week * WEEK for week, grouped in sample.weeks.items() for _ in range(grouped.leads)]
    # A week is in a slice as a whole, so that what the gap leaves out is whole weeks, too.
    split = choose_split(moments, sample.key.window + WEEK - 1)
    return replace(split, gap=sample.key.window)


type _Counted[Key] = dict[int, dict[Key, list[int]]]


class _Divided(NamedTuple):
    """Events up to a moment, those of them that tell traits or an account, and those after it."""

    known: list[Event]
    telling: list[Event]
    after: list[Event]


def _divided(events: Sequence[Event], stamps: Sequence[str], until: str) -> _Divided:
    known = [event for stamp, event in zip(stamps, events, strict=True) if stamp <= until]
    telling = _telling(known)
    if len(known) == len(events):
        return _Divided(known, telling, [])
    return _Divided(known, telling, [event for stamp, event in zip(stamps, events, strict=True) if stamp > until])


def _parts(
    history: History, divided: _Divided, at: Millis, policy: IdentityPolicy
) -> Iterable[tuple[Identity, _Divided]]:
    """Return the leads that a lead still was at a moment, by the root of each; most were one."""
    owners = history.owners
    if all(claim.time <= at for claim in owners.values()):
        return [(history.lead, divided)]

    def find_root(event: Event) -> Identity:
        name = identities(event, policy)[0]
        root = name if name in owners else history.lead
        while root in owners and owners[root].time <= at:
            root = owners[root].owner
        return root

    parts: dict[Identity, list[Event]] = {}
    for event in divided.known:
        parts.setdefault(find_root(event), []).append(event)
    return [(root, _Divided(known, _telling(known), divided.after)) for root, known in parts.items()]


def _telling(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if "traits" in event or "groupId" in event]


def _stamps(events: Iterable[Event]) -> list[str]:
    """Return the times of events in the one form in which texts are in the order of time."""
    stamps = [str(event["timestamp"]) for event in events]
    other = [stamp for stamp in stamps if len(stamp) != _STAMP_LENGTH or stamp[-1] != "Z"]
    return [format_instant(parse_instant(stamp)) for stamp in stamps] if other else stamps


def _read_before(ruleset: Ruleset, body: LeadBody | None, first: Millis) -> State | None:
    """Return what is known of a lead from before its log begins, None where nothing can be read."""
    if body is None:
        return None
    try:
        return State.lasting(ruleset, body.state, until=first)
    except (ValueError, KeyError, TypeError):
        return None


def _profile(events: Sequence[Event], others: Iterable[Event], before: Iterable[State]) -> _Profile:
    """Return what is known by states and events; `others` are `group` events of accounts."""
    traits: Claims = {}
    member: Claim | None = None
    for state in before:
        traits, member = unite_claims(traits, state.claims), state.membership
    identified = [event for event in events if event["type"] == "identify"]
    grouped = _in_order([event for event in events if event.get("groupId")])
    account = grouped[-1]["groupId"] if grouped else None if member is None else member.value
    telling = [one for one in (*grouped, *others) if one["type"] == "group" and one["groupId"] == account]
    # What a state knows from before the log is older than all of it.
    known = {name: one.value for name, one in traits.items()}
    return _Profile(_values_of(identified, known), _values_of(telling, {}))


def _values_of(events: Sequence[Event], values: dict[str, object]) -> dict[str, object]:
    """Return the traits that are there after events on top of `values`: of two the newer holds, a null removes."""
    for event in _in_order(events):
        for name, value in _traits(event).items():
            # Most values are short texts, and this is done for every trait of every lead.
            short = (value.__class__ is str and len(value) <= SURELY_SHORT_CHARACTERS) or is_short(value)
            values[name] = value if short else None
    return {name: value for name, value in values.items() if value is not None} if None in values.values() else values


def _in_order(events: Sequence[Event]) -> Sequence[Event]:
    return events if len(events) < 2 else sorted(events, key=_order_of)


def _order_of(event: Event) -> tuple[Millis, str]:
    return parse_instant(str(event["timestamp"])), str(event["messageId"])


def _traits(event: Event) -> Mapping[str, object]:
    traits = event.get("traits")
    return traits if traits.__class__ is dict or isinstance(traits, Mapping) else {}


def _trait_read(path: tuple[str, ...]) -> str:
    """Return the trait that a path begins with; one of the account, or "" of it, by another name than the lead's."""
    return _ACCOUNT_TRAIT + "".join(path[1:2]) if path[0] == ACCOUNT else path[0]


def _paths(criterion: Criterion) -> tuple[tuple[str, ...], ...]:
    return () if criterion.traits is None else criterion.traits.paths


def _in_steps(score: PastScore) -> float:
    """Return the total in points, rounded down to a step."""
    return (score.total >> (UNIT_BITS - SCORE_STEP_BITS)) / (1 << SCORE_STEP_BITS)


def _count_one[Key](counted: _Counted[Key], week: int, key: Key, *, converted: bool) -> None:
    counts = counted.setdefault(week, {}).setdefault(key, [0, 0])
    counts[0] += 1
    counts[1] += converted


def _frozen[Key](counted: _Counted[Key]) -> dict[int, dict[Key, Counts]]:
    return {week: {key: Counts(*counts) for key, counts in rows.items()} for week, rows in counted.items()}


def _merged[Key](parts: Sequence[Mapping[int, Mapping[Key, Counts]]]) -> dict[int, dict[Key, Counts]]:
    merged: _Counted[Key] = {}
    for part in parts:
        for week, rows in part.items():
            mine = merged.setdefault(week, {})
            for key, counts in rows.items():
                sums = mine.setdefault(key, [0, 0])
                sums[0] += counts.leads
                sums[1] += counts.conversions
    return _frozen(merged)


def _pairs_of(read: Iterable[Any]) -> dict[int, dict[tuple[float, float], Counts]]:
    return {week: {(pair[0], pair[1]): Counts(*counts) for pair, counts in rows} for week, rows in read}


def _only[T](weeks: Container[int], counted: Mapping[int, T]) -> dict[int, T]:
    return {week: rows for week, rows in counted.items() if week in weeks}


def _plain(counted: Mapping[int, Mapping[Any, Counts]]) -> list[object]:
    return [
        [week, [[key, list(counts)] for key, counts in sorted(rows.items())]] for week, rows in sorted(counted.items())
    ]
