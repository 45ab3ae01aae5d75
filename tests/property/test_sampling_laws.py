"""Laws of sampling: it counts what a snapshot says, sees nothing after its moment, and adds up in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from leadscore import parse_ruleset
from leadscore.core.identity import Identity, Ownership
from leadscore.core.instants import DAY, format_instant, parse_instant
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import Event
from leadscore.learning.samples import STEPS, Tally, TimeSplit
from leadscore.learning.sampling import WEEK, Moment, Sample, Sampler, Sampling, choose_sample_split
from leadscore.learning.snapshots import LeadSnapshot, draw_moment, find_qualified, take_snapshot
from leadscore.usecases.histories import History
from tests.property.strategies import STARTS, Case, JsonObject, cases, documents, event_sets, to_millis

GOAL: JsonObject = {"event": ["Converted"]}
FAR = 10**15
MOMENTS: st.SearchStrategy[Moment] = st.sampled_from(("random", "qualified"))
WINDOWS = st.sampled_from((1, DAY, 30 * DAY))


def reduced(sampling: Sampling, histories: Iterable[History]) -> Sample:
    sampler = Sampler(sampling)
    for history in histories:
        sampler.add(history)
    return sampler.sample()


def with_goal(document: JsonObject) -> Ruleset:
    return parse_ruleset(document | {"goal": GOAL})


def converted(time: int) -> JsonObject:
    return {"messageId": "goal", "type": "track", "event": "Converted", "timestamp": format_instant(time)}


def down(score: float) -> float:
    return score * STEPS // 1 / STEPS


def moment_of(sampling: Sampling, history: History) -> int | None:
    if sampling.moment == "qualified":
        return find_qualified(sampling.ruleset, history.events)
    first = min((parse_instant(str(event["timestamp"])) for event in history.events), default=None)
    return None if first is None else draw_moment(first, f"{sampling.seed}:{history.lead}")


@st.composite
def histories(draw: st.DrawFn, document: JsonObject) -> list[History]:
    """Leads of one ruleset, some of which convert a while after their last event."""
    found = []
    for number in range(draw(st.integers(0, 5))):
        events = draw(event_sets(document, to_millis(draw(st.sampled_from(STARTS[:3])))))
        if draw(st.booleans()) and events:
            last = parse_instant(events[-1]["timestamp"])
            events.append(converted(last + draw(st.integers(0, 40 * DAY))))
        found.append(draw(joined(f"{number}", events)))
    return found


@st.composite
def joined(draw: st.DrawFn, user: str, events: list[JsonObject]) -> History:
    """The events told by up to three identities in a chain or a fan, each joined at some time, even before them all."""
    names: list[tuple[Identity, JsonObject]] = [
        (f"user:{user}", {"userId": user}),
        *((f"anonymous:{user}{device}", {"anonymousId": f"{user}{device}"}) for device in "ab"),
    ]
    times = [parse_instant(event["timestamp"]) for event in events] or [0]
    apart = range(draw(st.integers(0, 2)))
    owners: dict[Identity, Ownership] = {}
    for place in apart:
        at = draw(st.integers(min(times) - DAY, max(times) + 40 * DAY) | st.sampled_from(times))
        owners[names[place + 1][0]] = Ownership(at, "claim", names[draw(st.integers(0, place))][0])
    told = [{key: value for key, value in event.items() if key not in ("userId", "anonymousId")} for event in events]
    said = [{**event, **draw(st.sampled_from(names[: len(owners) + 1]))[1]} for event in told]
    return History(names[0][0], said, [], None, owners)


def as_known(history: History, at: int) -> list[list[Event]]:
    """Return the events of each lead that it was at a moment, and after that moment those of all."""
    leads: dict[Identity, list[Event]] = {}
    for event in history.events:
        if parse_instant(str(event["timestamp"])) <= at:
            name = f"user:{event['userId']}" if event.get("userId") else f"anonymous:{event['anonymousId']}"
            while name in history.owners and history.owners[name].time <= at:
                name = history.owners[name].owner
            leads.setdefault(name, []).append(event)
    after = [event for event in history.events if parse_instant(str(event["timestamp"])) > at]
    return [[*events, *after] for events in leads.values()]


@st.composite
def samplings(draw: st.DrawFn) -> tuple[Sampling, list[History]]:
    document = draw(documents())
    against = draw(st.none() | documents().map(parse_ruleset))
    sampling = Sampling(with_goal(document), FAR, draw(WINDOWS), draw(st.integers(0, 3)), draw(MOMENTS), against)
    return sampling, draw(histories(document))


@given(samplings())
def test_a_sample_is_what_snapshots_say_of_its_leads(drawn: tuple[Sampling, list[History]]) -> None:
    sampling, leads = drawn
    sample = reduced(sampling, leads)
    tallies: dict[int, Tally] = {}
    omitted: dict[str, int] = {}
    totals: list[tuple[int, float]] = []
    for history in leads:
        at = moment_of(sampling, history)
        if at is None:
            omitted["no moment"] = omitted.get("no moment", 0) + 1
            continue
        for events in as_known(history, at):
            found = take_snapshot(sampling.ruleset, events, at, window=sampling.window, now=FAR)
            if not isinstance(found, LeadSnapshot):
                omitted[found] = omitted.get(found, 0) + 1
                continue
            tally = tallies.setdefault(found.at // WEEK, Tally(sample.criteria))
            tally.add(found.strengths, converted=found.converted)
            totals.append((found.at // WEEK, down(found.total)))
    assert sample.weeks == {week: tally.grouped() for week, tally in tallies.items()}
    assert sample.omitted == omitted
    counted = [(week, score) for week, rows in sample.totals.items() for score, n in rows.items() for _ in range(n[0])]
    assert sorted(counted) == sorted(totals)
    assert sample.leads == len(totals) + sum(omitted.values())
    assert sample.events == sum(len(one.events) for one in leads)


@given(samplings())
def test_a_second_ruleset_scores_the_same_leads_at_the_same_moments(drawn: tuple[Sampling, list[History]]) -> None:
    sampling, leads = drawn
    sample = reduced(sampling, leads)
    if sampling.against is None:
        assert sample.pairs == {}
        return
    judge = with_goal(json.loads(sampling.against.document))
    pairs: list[tuple[int, float, float, bool]] = []
    for history in leads:
        at = moment_of(sampling, history)
        if at is None:
            continue
        for events in as_known(history, at):
            one, other = (
                take_snapshot(ruleset, events, at, window=sampling.window, now=FAR)
                for ruleset in (sampling.ruleset, judge)
            )
            if isinstance(one, LeadSnapshot) and isinstance(other, LeadSnapshot):
                pairs.append((at // WEEK, down(one.total), down(other.total), one.converted))
    counted = [
        (week, *scores, nth < counts.conversions)
        for week, rows in sample.pairs.items()
        for scores, counts in rows.items()
        for nth in range(counts.leads)
    ]
    assert sorted(counted) == sorted(pairs)


@given(cases(), st.integers(0, 99), WINDOWS, st.randoms(use_true_random=False))
def test_nothing_after_a_moment_has_a_part_in_what_is_counted(
    case: Case, seed: int, window: int, chance: Random
) -> None:
    sampling = Sampling(with_goal(case.document), FAR, window, seed)
    history = History("user:ada", chance.sample(case.events, len(case.events)), [], None)
    at = moment_of(sampling, history)
    if at is None:
        return
    after = [event for event in case.events if parse_instant(event["timestamp"]) > at]
    before = [event for event in case.events if event not in after]
    accounts = [{**event, "groupId": "g1", "type": "group", "traits": {"plan": "x"}} for event in after]
    one = reduced(sampling, [History("user:ada", before, [], None)])
    two = reduced(sampling, [History("user:ada", history.events, accounts, None)])
    assert (one.weeks, one.totals, one.unread, one.omitted) == (two.weeks, two.totals, two.unread, two.omitted)


@given(cases(), st.integers(0, 99), st.integers(2, 60 * DAY), st.sampled_from((-1, 0, 1)))
def test_a_label_is_of_the_window_to_the_millisecond(case: Case, seed: int, window: int, off: int) -> None:
    sampling = Sampling(with_goal(case.document), FAR, window, seed)
    at = moment_of(sampling, History("user:ada", case.events, [], None))
    if at is None:
        return

    def labelled(*times: int) -> tuple[int, int]:
        events = [*case.events, *({**converted(time), "messageId": f"g{time}"} for time in times)]
        sample = reduced(sampling, [History("user:ada", events, [], None)])
        return sample.grouped().leads, sample.grouped().conversions

    leads = labelled()[0]
    assert labelled(at + window + off) == (leads, leads if off <= 0 else 0)
    assert labelled(at + max(off, 0)) == ((leads, leads) if off > 0 else (0, 0))
    assert labelled(at + 1, at + window + 1) == (leads, leads)
    edge = Sampling(sampling.ruleset, at + window + off, window, seed)
    known = reduced(edge, [History("user:ada", case.events, [], None)])
    assert known.omitted.get("too recent", 0) == (1 if off < 0 else 0)


@given(samplings(), st.lists(st.integers(0, 3), min_size=5, max_size=5), st.permutations(range(4)))
def test_segments_in_any_split_and_order_give_what_one_pass_gives(
    drawn: tuple[Sampling, list[History]], placed: Sequence[int], order: Sequence[int]
) -> None:
    sampling, leads = drawn
    segments = [[lead for lead, place in zip(leads, placed, strict=False) if place == part] for part in range(4)]
    parts = [reduced(sampling, segment) for segment in segments]
    first, *others = [parts[place] for place in order]
    whole = reduced(sampling, leads)
    text = json.dumps(whole.to_dict())
    assert json.dumps(first.merge(*others).to_dict()) == text
    assert json.dumps(first.merge(others[0]).merge(others[1].merge(others[2])).to_dict()) == text
    assert Sample.from_dict(json.loads(text)) == whole == first.merge(*others)


@given(samplings(), st.integers(2, 2_900), st.integers(0, 60), st.integers(1, 90 * DAY))
def test_slices_have_whole_weeks_and_at_least_the_gap_between_them(
    drawn: tuple[Sampling, list[History]], first: int, span: int, gap: int
) -> None:
    sample = reduced(*drawn)
    for split in (
        TimeSplit(first * WEEK, (first + span) * WEEK, gap),
        *([choose_sample_split(sample)] if sample.weeks else []),
    ):
        slices = sample.sliced(split)
        kept = {
            week
            for week in sample.weeks
            if split.slice_of(week * WEEK) is not None
            and split.slice_of(week * WEEK) == split.slice_of((week + 1) * WEEK - 1)
        }
        assert sum(one.leads for one in slices.values()) == sum(sample.weeks[week].leads for week in kept)
        ends = {
            name: [(week + 1) * WEEK - 1 for week in kept if split.slice_of(week * WEEK) == name] for name in slices
        }
        assert all(end + split.gap <= split.gate_from for end in ends["fit"])
        assert all(end + split.gap <= split.report_from for end in ends["gate"])
    assert sample.grouped(first * WEEK).merge(sample.grouped(until=first * WEEK)) == sample.grouped()
