"""What is counted of leads beside their patterns: facts, what came late, what is known from before the log, scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from leadscore import parse_ruleset
from leadscore.core.alerting import AlertMemory
from leadscore.core.identity import Ownership
from leadscore.core.instants import DAY, HOUR, Millis, format_instant, from_datetime, parse_instant
from leadscore.core.state import Event, State, advance
from leadscore.learning.samples import Counts, Grouped, Tally, TimeSplit
from leadscore.learning.sampling import WEEK, Sample, Sampler, Sampling, choose_sample_split
from leadscore.learning.snapshots import LeadSnapshot, Omission, draw_moment, take_snapshot
from leadscore.usecases.histories import History
from leadscore.usecases.records import LeadBody
from leadscore_cli.sample_company import SampleCompany, sample_ruleset

DOCUMENT = {
    "goal": {"event": ["Bought"]},
    "tiers": [{"name": "hot", "from": 20}, {"name": "cold"}],
    "groups": {"engagement": {"half_life": "1d"}},
    "criteria": [
        {"id": "boss", "group": "fit", "traits": {"title": ["CEO"]}, "points": 10},
        {"id": "large", "group": "fit", "traits": {"account": {"size": [{"numeric": [">", 100]}]}}, "points": 10},
        {"id": "pricing", "group": "engagement", "event": {"properties": {"path": ["/pricing"]}}, "points": 20},
    ],
}
RULES = parse_ruleset(DOCUMENT)
BY_EMAIL = parse_ruleset(DOCUMENT | {"identity": {"email": True}})
START = parse_instant("2026-03-02")
SAMPLING = Sampling(RULES, now=START + 400 * DAY)


def happened(kind: str, at: Millis = START, message: str = "", **more: object) -> Event:
    return {"type": kind, "messageId": message or f"{kind}{at}{sorted(more)}", "timestamp": format_instant(at), **more}


def moment(lead: str, first: Millis = START) -> Millis:
    return draw_moment(first, f"0:{lead}")


def sampled(*leads: tuple[str, Iterable[Event]], sampling: Sampling = SAMPLING) -> Sample:
    return reduced([History(lead, list(events), (), None) for lead, events in leads], sampling)


def reduced(histories: Iterable[History], sampling: Sampling = SAMPLING) -> Sample:
    sampler = Sampler(sampling)
    for history in histories:
        sampler.add(history)
    return sampler.sample()


def stored(events: list[Event], rules: str = "") -> LeadBody:
    text = rules or advance(State.empty(RULES), events).to_json()
    return LeadBody(text, RULES.version, "cold", 0, None, None, AlertMemory())


def test_candidates_are_what_no_criterion_reads() -> None:
    events = [
        happened(
            "identify", traits={"title": "CEO", "plan": "free", "seats": 3, "beta": True, "company": {"kind": "x"}}
        ),
        happened("identify", traits={"email": "a@b.c", "phone": "1", "tags": ["a"], "plan": "team"}, message="z"),
        happened("group", groupId="acme", traits={"size": 5, "region": "EU"}),
        happened("track", event="Exported"),
        happened("track", START + 1, event="Exported"),
        happened("page", properties={"path": "/pricing"}),
        happened("page", properties={"path": "/docs/api"}),
        happened("page", START + 1, properties={"path": "/docs/sdk"}),
        happened("screen", name="Home"),
        happened("page", START + 50 * DAY, properties={"path": "/later"}),
        happened("track", moment("user:1") + 1, event="Bought"),
    ]
    sample = sampled(("user:1", events))
    names = (
        "event: Exported",
        "page: /docs/api",
        "page: /docs/sdk",
        "section: /docs",
        "screen: Home",
        "trait: plan = team",
        "trait: seats = 3",
        "trait: beta = true",
        "trait: company.kind = x",
        "trait: account.region = EU",
    )
    assert sample.unread.named(1) == dict.fromkeys(names, Counts(1, 1))
    assert sample.facts == {}


def test_only_facts_that_enough_leads_have_are_told() -> None:
    many = [(f"user:{n}", [happened("track", event="Exported")]) for n in range(30)]
    few = [(f"user:b{n}", [happened("track", event="Shared")]) for n in range(29)]
    assert sampled(*many, *few).facts == {"event: Exported": Counts(30, 0)}


def test_a_trait_with_too_many_values_is_given_up_and_said_to_be() -> None:
    leads = [(f"user:{n}", [happened("identify", traits={"token": str(n), "plan": "x"})]) for n in range(60)]
    sample = sampled(*leads)
    assert sample.unread.cut == {"trait: token"}
    assert sample.facts == {"trait: plan = x": Counts(60, 0)}


def test_of_too_many_traits_the_first_by_name_are_kept() -> None:
    for many in (101, 201, 250):
        traits = {f"t{n:03}": "x" for n in range(many)}
        sample = sampled(("user:1", [happened("identify", traits=traits)]))
        assert sorted(sample.unread.found) == [f"trait: t{n:03}" for n in range(100)]
        assert sample.unread.cut == {"trait"}


def test_a_criterion_is_late_where_many_leads_got_its_trait_only_after_their_moment() -> None:
    def lead(number: int, at: Millis, name: str = "title") -> tuple[str, list[Event]]:
        return f"user:{number}", [happened("track", event="A"), happened("identify", at, traits={name: "CEO"})]

    early = [lead(number, START + HOUR) for number in range(19)]
    assert sampled(*early, lead(19, START + 31 * DAY)).late == frozenset()
    assert sampled(*early[1:], lead(19, START + 31 * DAY), lead(20, START + 31 * DAY)).late == {"boss"}
    assert sampled(lead(1, START + 31 * DAY, "size")).late == frozenset()
    changed = [
        happened("identify", traits={"title": "x"}),
        happened("identify", START + 31 * DAY, traits={"title": "y"}),
    ]
    assert sampled(("user:1", changed)).late == frozenset()


def test_late_is_judged_over_all_segments_together() -> None:
    late = ("user:1", [happened("track", event="A"), happened("identify", START + 31 * DAY, traits={"title": "x"})])
    early = [(f"user:{n}", [happened("identify", traits={"title": "x"})]) for n in range(2, 30)]
    assert sampled(late).late == {"boss"}
    assert sampled(late).merge(sampled(*early)).late == frozenset()


def test_who_converted_before_its_log_begins_is_left_out() -> None:
    bought = happened("track", START - 500 * DAY, event="Bought")
    events = [happened("track", event="A")]
    assert reduced([History("user:1", events, (), stored([bought]))]).omitted == {"converted before": 1}
    assert reduced([History("user:1", events, (), stored([]))]).leads == 1
    later = stored([happened("track", START + 300 * DAY, event="Bought")])
    assert reduced([History("user:1", events, (), later)]).omitted == {}


def test_what_is_known_from_before_the_log_counts_and_what_cannot_be_read_does_not() -> None:
    told = happened("identify", START - 500 * DAY, traits={"title": "CEO"})
    events = [happened("track", event="A")]

    def holding(body: LeadBody | None, events: list[Event]) -> list[int]:
        return [counts.leads for counts in reduced([History("user:1", events, (), body)]).grouped().holding()]

    assert holding(stored([told]), events) == [1, 0, 0]
    assert holding(stored([told]), [*events, happened("identify", START + HOUR, traits={"title": None})]) == [0, 0, 0]
    assert holding(stored([happened("identify", START + 1, traits={"title": "CEO"})]), events) == [0, 0, 0]
    assert holding(stored([], "[]"), events) == holding(None, events) == [0, 0, 0]


def test_an_account_is_known_by_the_events_of_others_up_to_the_moment() -> None:
    own = [happened("track", groupId="acme", event="A")]

    def large(*account_events: Event) -> int:
        sample = reduced([History("user:1", own, account_events, None)])
        return sample.grouped().holding()[1].leads

    at = moment("user:1")
    assert large(happened("group", at, groupId="acme", traits={"size": 500})) == 1
    assert large(happened("group", at + 1, groupId="acme", traits={"size": 500})) == 0
    assert large(happened("group", at, groupId="initech", traits={"size": 500})) == 0


def test_scores_are_rounded_down_so_that_no_lead_is_put_into_a_tier_it_did_not_reach() -> None:
    at = moment("user:1")
    just_below = [happened("track", event="A"), happened("page", at - 1, properties={"path": "/pricing"})]
    sample = sampled(("user:1", just_below))
    assert list(sample.totals.values()) == [{20 - 1 / 16: Counts(1, 0)}]
    assert sampled(("user:1", [*just_below, happened("page", at, properties={"path": "/pricing"})])).totals == {
        at // WEEK: {20.0: Counts(1, 0)}
    }


def test_a_year_of_the_sample_company_is_counted_as_its_snapshots_say() -> None:
    company = SampleCompany(150, datetime(2026, 11, 1, tzinfo=UTC), seed=11, base_rate=0.2)
    rules = parse_ruleset(sample_ruleset() | {"groups": {"engagement": {"half_life": "20d", "max": 25}}})
    sampling = Sampling(rules, from_datetime(company.until))
    leads = {f"user:{n}": company.events_of(company.lead(n)) for n in range(150)}
    tallies: dict[int, Tally] = {}
    totals: list[float] = []
    for name, events in leads.items():
        first = min(parse_instant(str(event["timestamp"])) for event in events)
        found = take_snapshot(rules, events, moment(name, first), window=sampling.window, now=sampling.now)
        if isinstance(found, LeadSnapshot):
            tally = tallies.setdefault(found.at // WEEK, Tally([criterion.id for criterion in rules.criteria]))
            tally.add(found.strengths, converted=found.converted)
            totals.append(found.total * 16 // 1 / 16)
    sample = sampled(*leads.items(), sampling=sampling)
    counted = [total for rows in sample.totals.values() for total, counts in rows.items() for _ in range(counts.leads)]
    assert sorted(counted) == sorted(totals)
    assert sample.weeks == {week: tally.grouped() for week, tally in tallies.items()}
    assert sample.grouped().conversions > 10
    assert max(counts.leads for counts in sample.grouped().rows.values()) < 20


def test_the_seed_chooses_the_moments() -> None:
    leads = [(f"user:{n}", [happened("track", event="A")]) for n in range(20)]
    one, other = (sampled(*leads, sampling=replace(SAMPLING, seed=seed)) for seed in (1, 2))
    assert one.weeks != other.weeks
    assert one.weeks == sampled(*leads[::-1], sampling=replace(SAMPLING, seed=1)).weeks


def test_without_a_goal_there_is_nothing_to_learn_from() -> None:
    aimless = parse_ruleset({key: value for key, value in DOCUMENT.items() if key != "goal"})
    with pytest.raises(ValueError, match="names no goal"):
        Sampler(Sampling(aimless, 0))


def test_samples_of_something_else_do_not_merge() -> None:
    sample = sampled()
    for other in (replace(SAMPLING, seed=1), replace(SAMPLING, window=1), replace(SAMPLING, against=RULES)):
        with pytest.raises(ValueError, match="can be merged"):
            sample.merge(sampled(sampling=other))


def test_a_week_that_a_slice_cuts_through_is_in_none() -> None:
    leads = [(f"user:{n}", [happened("track", START + n * DAY, event="A")]) for n in range(100)]
    sample = sampled(*leads)
    week = START // WEEK + 8
    exact = TimeSplit(week * WEEK, (week + 4) * WEEK, WEEK)
    found = sample.sliced(exact)
    assert found["fit"] == sample.grouped(until=(week - 1) * WEEK)
    assert found["gate"] == sample.grouped(week * WEEK, (week + 3) * WEEK)
    assert found["report"] == sample.grouped((week + 4) * WEEK)
    wider = sample.sliced(TimeSplit(week * WEEK + 1, (week + 4) * WEEK - 1, WEEK))
    assert wider["fit"] == sample.grouped(until=(week - 1) * WEEK)
    assert wider["gate"] == sample.grouped((week + 1) * WEEK, (week + 3) * WEEK)
    assert sample.sliced(TimeSplit(0, 1, WEEK))["fit"] == Grouped(sample.criteria, {})


def test_a_sample_is_split_at_weeks_with_its_window_as_the_gap() -> None:
    leads = [(f"user:{n}", [happened("track", START + n * HOUR, event="A")]) for n in range(2000)]
    sample = sampled(*leads, sampling=replace(SAMPLING, window=7 * DAY))
    split = choose_sample_split(sample)
    assert split.gap == 7 * DAY
    assert split.gate_from % WEEK == split.report_from % WEEK == 0
    assert all(grouped.leads > 0 for grouped in sample.sliced(split).values())
    with pytest.raises(ValueError, match="without leads"):
        choose_sample_split(sampled())


def joined(at: Millis) -> History:
    """Return a lead that wrote to no criterion, but whose other device, joined `at`, looked at the prices."""
    first, bought = moment("user:1"), happened("track", START + 35 * DAY, event="Bought", userId="1")
    events = [
        happened("track", event="A", userId="1"),
        happened("page", first, properties={"path": "/pricing"}, anonymousId="phone"),
        bought,
    ]
    assert first < START + 35 * DAY <= first + SAMPLING.window
    return History("user:1", events, (), None, owners={"anonymous:phone": Ownership(at, "claim", "user:1")})


def test_what_was_joined_only_after_the_moment_is_a_lead_of_its_own() -> None:
    at = moment("user:1")
    together, apart = reduced([joined(at)]), reduced([joined(at + 1)])
    assert together.grouped().holding()[2] == Counts(1, 1)
    assert together.grouped().leads == 1
    assert (together.leads, apart.leads, apart.events) == (1, 2, 3)
    # Both turned out to be the one who bought.
    assert (apart.grouped().leads, apart.grouped().conversions) == (2, 2)
    assert apart.grouped().holding()[2] == Counts(1, 1)


def test_what_is_stored_from_before_the_log_is_known_of_the_root_alone() -> None:
    told = happened("identify", START - 500 * DAY, traits={"title": "CEO"})
    lead = replace(joined(moment("user:1") + 1), body=stored([told]))
    assert reduced([lead]).grouped().holding()[0] == Counts(1, 1)
    bought = replace(lead, body=stored([happened("track", START - 500 * DAY, event="Bought")]))
    assert reduced([bought]).omitted == {"converted before": 1}
    assert reduced([bought]).grouped().leads == 1


def test_a_chain_is_joined_as_far_as_it_was_at_the_moment() -> None:
    at = moment("user:1")
    events = [
        happened("track", event="A", userId="1"),
        happened("identify", traits={"email": "a@b.c"}),
        happened("track", event="B", anonymousId="phone"),
    ]

    def counted(email: Millis, phone: Millis) -> int:
        owners = {
            "email:a@b.c": Ownership(email, "claim", "user:1"),
            "anonymous:phone": Ownership(phone, "claim", "email:a@b.c"),
        }
        return reduced([History("user:1", events, (), None, owners)], replace(SAMPLING, ruleset=BY_EMAIL)).leads

    assert [counted(at, at), counted(at + 1, at), counted(at, at + 1), counted(at + 1, at + 1)] == [1, 2, 2, 3]


def test_the_newest_event_of_all_segments_is_where_the_log_ends() -> None:
    early = sampled(("user:1", [happened("track", event="A"), happened("track", START + 9 * DAY, event="B")]))
    late = sampled(("user:2", [happened("track", START + 11 * DAY, event="A"), happened("track", event="B")]))
    assert early.merge(late).newest == late.merge(early).newest == START + 11 * DAY
    assert sampled().log_end is None

    def end(now: Millis) -> Millis | None:
        return sampled(("user:1", [happened("track", event="A")]), sampling=replace(SAMPLING, now=now)).log_end

    assert [end(START + 2 * DAY), end(START + 2 * DAY + 1)] == [None, START]


def test_weeks_whose_windows_end_after_the_log_are_too_recent() -> None:
    week = -(-(START + 31 * DAY) // WEEK)
    end = (week + 1) * WEEK + SAMPLING.window

    def labelled(newest: Millis) -> Sample:
        leads = [(f"user:{n}", [happened("track", week * WEEK - 20 * DAY, event="A")]) for n in range(60)]
        sampling = replace(SAMPLING, against=RULES, half_lives=True)
        last = ("user:last", [happened("track", newest, event="A")])
        return sampled(*leads, last, sampling=sampling).labelled()

    before, exact = labelled(end - 1), labelled(end)
    assert week in exact.weeks.keys() & exact.totals.keys() & exact.pairs.keys()
    for kept, last in ((before, week - 1), (exact, week)):
        for counted in (kept.weeks, kept.totals, kept.pairs, *kept.paced.values()):
            assert 0 < max(counted) <= last
        assert kept.grouped().leads + kept.omitted["too recent"] == kept.leads == 61
    assert before.omitted["too recent"] > exact.omitted["too recent"]


def test_of_a_log_that_goes_on_all_weeks_count() -> None:
    sample = sampled(("user:1", [happened("track", event="A"), happened("track", SAMPLING.now - DAY, event="A")]))
    assert sample.labelled() == sample
    assert sample.grouped().leads == 1


def test_who_may_have_been_there_before_the_oldest_events_that_are_kept_is_left_out() -> None:
    def left_out(first: Millis) -> Mapping[Omission, int]:
        return sampled(("user:1", [happened("track", first, event="A")]), sampling=kept).omitted

    kept = replace(SAMPLING, horizon=START)
    assert left_out(START + 90 * DAY - 1) == {"older than the log": 1}
    assert left_out(START + 90 * DAY) == {}
    assert kept.key != SAMPLING.key


def test_a_criterion_on_the_account_is_late_where_its_trait_was_written_only_after_the_moment() -> None:
    own = [happened("track", groupId="acme", event="A")]

    def late(written: Millis) -> frozenset[str]:
        group = happened("group", written, groupId="acme", traits={"size": 500})
        by_others, by_itself = History("user:1", own, [group], None), History("user:1", [*own, group], (), None)
        assert reduced([by_others]).late == reduced([by_itself]).late
        return reduced([by_others]).late

    at = moment("user:1")
    assert [late(at), late(at + 1)] == [frozenset(), {"large"}]
    # What the lead's own events told by then was known.
    again = [happened("group", time, groupId="acme", traits={"size": 500}) for time in (at, at + 1)]
    assert sampled(("user:1", [*own, *again])).late == frozenset()
