"""The laws of scoring over generated rulesets and histories: equal sets give equal bytes, and the oracle agrees."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

import leadscore
from leadscore import AccountState, Ruleset, Score, State
from tests.property import oracle
from tests.property.strategies import (
    ALPHABET,
    MILLISECOND,
    Case,
    JsonObject,
    cases,
    contents,
    documents,
    event_patterns,
    every_operator,
    excursion_cases,
    fading_cases,
    milliseconds,
    positive_points,
    threshold_cases,
    to_datetime,
    to_millis,
    to_text,
)

FIRST = to_millis(datetime(1, 1, 1, tzinfo=UTC))

any_case = st.one_of(cases(), cases(), fading_cases(), threshold_cases())


def ruleset_of(case: Case) -> Ruleset:
    return leadscore.parse_ruleset(case.document)


def as_bytes(score: Score) -> bytes:
    return json.dumps(score.to_dict()).encode()


def advanced(ruleset: Ruleset, events: Iterable[JsonObject]) -> State:
    return leadscore.advance(State.empty(ruleset), events)


def account_of(state: State, events: Iterable[JsonObject]) -> AccountState:
    """The state of the lead's account, made of the lead's own `group` events."""
    own = [e for e in events if e["type"] == "group" and e["groupId"] == state.account]
    return leadscore.advance_account(AccountState.empty(state.ruleset), own)


def seen_by(case: Case, at: datetime | None = None) -> list[JsonObject]:
    limit = to_millis(at or case.at)
    return [e for e in case.events if oracle.instant(e["timestamp"]) <= limit]


def tier_at(ruleset: Ruleset, events: Sequence[JsonObject], at: datetime) -> str:
    return leadscore.score_events(ruleset, events, at).tier


# ------------------------------------------------------------------------------- equal sets of events, equal bytes


@given(any_case, st.data())
def test_order_and_duplicates_do_not_matter(case: Case, data: st.DataObject) -> None:
    ruleset = ruleset_of(case)
    again = data.draw(st.lists(st.sampled_from(case.events), max_size=6)) if case.events else []
    shuffled = data.draw(st.permutations([*case.events, *again]))
    assert advanced(ruleset, shuffled).to_json() == advanced(ruleset, case.events).to_json()
    expected = leadscore.score_events(ruleset, case.events, case.at)
    assert as_bytes(leadscore.score_events(ruleset, shuffled, case.at)) == as_bytes(expected)


@given(any_case, st.data())
def test_copies_that_differ_do_not_make_the_score_depend_on_the_order(case: Case, data: st.DataObject) -> None:
    assume(case.events)
    ruleset = ruleset_of(case)
    clashing = [{**e, "messageId": data.draw(st.sampled_from(case.events))["messageId"]} for e in case.events]
    expected = leadscore.score_events(ruleset, clashing, case.at)
    shuffled = data.draw(st.permutations(clashing))
    assert as_bytes(leadscore.score_events(ruleset, shuffled, case.at)) == as_bytes(expected)


@given(any_case, st.data())
def test_batches_crashes_and_merges_do_not_matter(case: Case, data: st.DataObject) -> None:
    """Events arrive in batches, some twice, for several identities that turn out, one by one, to be one person."""
    ruleset = ruleset_of(case)
    again = data.draw(st.lists(st.sampled_from(case.events), max_size=4)) if case.events else []
    waiting = data.draw(st.permutations([*case.events, *again]))
    identities = [State.empty(ruleset)]
    while waiting:
        size = data.draw(st.integers(1, 4))
        batch, waiting = waiting[:size], waiting[size:]
        step = data.draw(st.sampled_from(["same", "new", "other", "merge"]))
        if step == "new":
            identities.append(State.empty(ruleset))
        elif step == "merge" and len(identities) > 1:
            identities.append(leadscore.merge(identities.pop(), identities.pop(0)))
        chosen = data.draw(st.integers(0, len(identities) - 1)) if step == "other" else -1
        identities[chosen] = leadscore.advance(identities[chosen], batch)
    whole = identities[0]
    for one in data.draw(st.permutations(identities)):
        whole = leadscore.merge(whole, one)
    assert whole.to_json() == advanced(ruleset, case.events).to_json()


@given(any_case, st.data())
def test_merging_is_a_join(case: Case, data: st.DataObject) -> None:
    """Commutative, associative, idempotent, and the empty state changes nothing."""
    ruleset = ruleset_of(case)
    owners = [data.draw(st.sampled_from(["a", "b", "c", "ab", "bc"])) for _ in case.events]
    a, b, c = (
        advanced(ruleset, [e for e, owner in zip(case.events, owners, strict=True) if name in owner]) for name in "abc"
    )
    merge = leadscore.merge
    assert merge(a, b).to_json() == merge(b, a).to_json()
    assert merge(merge(a, b), c).to_json() == merge(a, merge(b, c)).to_json()
    assert merge(a, a).to_json() == a.to_json()
    assert merge(a, State.empty(ruleset)).to_json() == a.to_json()


@given(any_case)
def test_incremental_scoring_is_scoring_from_the_start(case: Case) -> None:
    ruleset = ruleset_of(case)
    state = State.empty(ruleset)
    known = seen_by(case)
    for one in known:
        state = State.from_json(ruleset, leadscore.advance(state, [one]).to_json())
    incremental = leadscore.score_state(state, case.at, account_of(state, known))
    assert as_bytes(incremental) == as_bytes(leadscore.score_events(ruleset, case.events, case.at))


@given(any_case)
def test_a_stored_state_comes_back_the_same(case: Case) -> None:
    ruleset = ruleset_of(case)
    state = advanced(ruleset, case.events)
    text = state.to_json()
    restored = State.from_json(ruleset, text)
    assert restored == state
    assert restored.to_json() == text
    account = account_of(state, case.events)
    assert AccountState.from_json(ruleset, account.to_json()) == account


@given(cases(past=False), st.data())
def test_a_state_is_scored_under_newer_points_or_refused(case: Case, data: st.DataObject) -> None:
    newer = json.loads(json.dumps(case.document))
    chosen = data.draw(st.sampled_from([c for c in newer["criteria"] if "points" in c]))
    if data.draw(st.booleans()):
        chosen["points"] *= 2
        chosen["points"] = max(-1000, min(1000, chosen["points"]))
    elif "event" in chosen:
        chosen["event"] = data.draw(event_patterns)
    before, after = ruleset_of(case), parse_or_reject(newer)
    state = advanced(before, case.events)
    if before.state_digest != after.state_digest:
        with pytest.raises(leadscore.StaleState):
            State.from_json(after, state.to_json())
        return
    moved = State.from_json(after, state.to_json())
    expected = leadscore.score_events(after, case.events, case.at)
    assert as_bytes(leadscore.score_state(moved, case.at, account_of(moved, case.events))) == as_bytes(expected)


def parse_or_reject(document: JsonObject) -> Ruleset:
    """Doubling points, or changing a pattern, can make a document invalid; such a draw proves nothing."""
    try:
        return leadscore.parse_ruleset(document)
    except leadscore.InvalidRuleset:
        assume(False)  # noqa: FBT003 - the signature is Hypothesis's
        raise


@given(any_case, contents(), st.integers(0, 10**9))
def test_an_event_that_nothing_asks_for_changes_nothing(case: Case, body: JsonObject, later: int) -> None:
    ruleset = ruleset_of(case)
    document = case.document
    stranger = {"messageId": "stranger", "timestamp": to_text(max(to_millis(case.at) - later, FIRST)), **body}
    patterns = [c["event"] for c in document["criteria"] if "event" in c] + [document.get("goal", {"type": ["none"]})]
    patterns += [{"type": ["track"], "event": document.get("alerts", {"always": ["none"]})["always"]}]
    assume(not any(oracle.pattern_holds(pattern, stranger) for pattern in patterns))
    assume("groupId" not in stranger and not stranger.get("traits"))
    assert leadscore.match(ruleset, stranger) == ()
    state = advanced(ruleset, case.events)
    assert leadscore.advance(state, [stranger]).to_json() == state.to_json()
    expected = leadscore.score_events(ruleset, case.events, case.at)
    assert as_bytes(leadscore.score_events(ruleset, [*case.events, stranger], case.at)) == as_bytes(expected)


@given(any_case)
def test_an_event_that_touches_nothing_leaves_the_state_as_it_is(case: Case) -> None:
    ruleset = ruleset_of(case)
    for position, one in enumerate(case.events):
        if not leadscore.touches(ruleset, one):
            before = advanced(ruleset, case.events[:position])
            assert leadscore.advance(before, [one]).to_json() == before.to_json()
            assert leadscore.match(ruleset, one) == ()


@given(any_case)
def test_a_state_names_no_more_events_than_the_limits_ask_for(case: Case) -> None:
    ruleset = ruleset_of(case)
    state = advanced(ruleset, [*case.events, *({**one, "messageId": f"{one['messageId']}0"} for one in case.events)])
    named = re.findall(r'"m\d+"', state.to_json())
    most = [most_kept(criterion) for criterion in case.document["criteria"] if "event" in criterion]
    goal_membership_and_raise = 3
    assert len(named) <= sum(most) + len(state.claims) + goal_membership_and_raise


def most_kept(criterion: JsonObject) -> int:
    if "at_least" not in criterion:
        return int(criterion.get("limit", 1))
    sums = isinstance(criterion.get("measure"), dict) and "sum" in criterion["measure"]
    return int(criterion.get("limit", 256)) if sums else int(criterion["at_least"])


@given(cases(past=False))
def test_a_state_is_not_scored_before_what_it_has_seen(case: Case) -> None:
    """What an older instant would need may have been forgotten: the log has to be replayed."""
    ruleset = ruleset_of(case)
    state = advanced(ruleset, case.events)
    assume(state.newest is not None)
    newest = to_datetime(int(state.newest or 0))
    assert newest <= case.at
    assert leadscore.score_state(state, newest).at == newest
    with pytest.raises(ValueError, match="replay"):
        leadscore.score_state(state, newest - MILLISECOND)


# ---------------------------------------------------------------------------------------- points, caps and factors


@given(any_case, st.data())
def test_more_points_for_a_positive_criterion_never_lower_the_total(case: Case, data: st.DataObject) -> None:
    richer = json.loads(json.dumps(case.document))
    chosen = data.draw(st.sampled_from([c for c in richer["criteria"] if c.get("points", 0) > 0]))
    chosen["points"] = min(1000, chosen["points"] + data.draw(st.integers(1, 50)))
    before = leadscore.score_events(ruleset_of(case), case.events, case.at)
    after = leadscore.score_events(leadscore.parse_ruleset(richer), case.events, case.at)
    assert after.total >= before.total


@given(any_case)
def test_no_cap_is_ever_exceeded(case: Case) -> None:
    score = leadscore.score_events(ruleset_of(case), case.events, case.at)
    low, high = oracle.total_bounds(case.document)
    assert low <= score.total <= high
    for name, bounds in case.document["groups"].items():
        assert bounds.get("min", -math.inf) <= score.groups.get(name, 0.0) <= bounds.get("max", math.inf)
    caps = {c["id"]: c.get("max", math.inf) for c in case.document["criteria"]}
    assert all(abs(factor.points) <= caps[factor.criterion] for factor in score.factors)


@given(any_case)
def test_the_factors_add_up_to_the_total(case: Case) -> None:
    score = leadscore.score_events(ruleset_of(case), case.events, case.at)
    assert sum(Fraction(factor.points) for factor in score.factors) == Fraction(score.total)


# ------------------------------------------------------------------------------------------------------------ time


@given(cases(positive_points, past=False), st.lists(st.integers(0, 400 * 86_400_000), max_size=5))
def test_a_score_without_negative_points_only_falls_between_events(case: Case, later: list[int]) -> None:
    ruleset = ruleset_of(case)
    totals = [
        leadscore.score_events(ruleset, case.events, instant).total
        for instant in [case.at, *(later_than(case.at, pause) for pause in sorted(later))]
    ]
    assert totals == sorted(totals, reverse=True)


def later_than(at: datetime, pause: int) -> datetime:
    """The instant that much later, or the last one that there is."""
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    return at + pause * MILLISECOND if pause <= (last - at) // MILLISECOND else last


@given(st.integers(1, 1000), st.integers(0, 3 * 10**11), st.sampled_from(["1s", "15m", "1d", "30d", "365d"]))
def test_an_occurrence_is_worth_its_exact_value_to_the_smallest_unit(points: int, age: int, half_life: str) -> None:
    """Half a unit of 2 ** -40 for the rounding, and two units in the last place of a double before it."""
    used: JsonObject = {"id": "used", "group": "product", "event": {"event": ["Used"]}, "points": points}
    document = {
        "tiers": [{"name": "hot", "from": points / 2}, {"name": "cold"}],
        "total": {"max": 1000},
        "criteria": [{**used, "half_life": half_life}],
    }
    one = {"messageId": "m1", "timestamp": "2024-02-29T00:00:00.000Z", "type": "track", "event": "Used"}
    at = datetime(2024, 2, 29, tzinfo=UTC) + age * MILLISECOND
    expected = points * oracle.exact_power(age, milliseconds(half_life))
    found = leadscore.score_events(leadscore.parse_ruleset(document), [one], at).total
    assert abs(Fraction(found) - expected) <= Fraction(1, 2**41) + expected / 2**51


@given(st.one_of(any_case, excursion_cases()), st.lists(st.integers(0, 400 * 86_400_000), max_size=5))
def test_no_later_total_exceeds_the_ceiling(case: Case, later: list[int]) -> None:
    ruleset = ruleset_of(case)
    events = seen_by(case)
    score = leadscore.score_events(ruleset, events, case.at)
    for pause in [0, *later]:
        assert leadscore.score_events(ruleset, events, later_than(case.at, pause)).total <= score.ceiling


@given(st.one_of(any_case, excursion_cases()), st.lists(st.floats(0, 1), max_size=8))
def test_the_next_change_of_tier_is_where_it_says(case: Case, shares: list[float]) -> None:
    """The tier is another at that instant and not a millisecond, nor any sampled time, earlier."""
    ruleset = ruleset_of(case)
    events = seen_by(case)
    tier = tier_at(ruleset, events, case.at)
    change = leadscore.score_events(ruleset, events, case.at).next_change_at
    if change is None:
        horizon = later_than(case.at, 40 * 365 * 86_400_000)
    else:
        assert change > case.at
        assert change.microsecond % 1000 == 0
        assert tier_at(ruleset, events, change) != tier
        horizon = change - MILLISECOND
    event("never" if change is None else "by time")
    span = (horizon - case.at) // MILLISECOND
    course = oracle.TotalOverTime(case.document, events, to_millis(case.at))
    early = [span, *(int(span * share) for share in shares), *(span >> n for n in range(1, 8))]
    sampled = {later_than(case.at, pause) for pause in early} | {
        to_datetime(t) for t in course.window_ends(to_millis(case.at)) if t < 2**47
    }
    for instant in sorted(sampled):
        if case.at <= instant <= horizon:
            assert tier_at(ruleset, events, instant) == tier, instant


@given(st.one_of(cases(), fading_cases(), threshold_cases(), threshold_cases(), excursion_cases(), excursion_cases()))
def test_the_next_change_of_tier_is_the_oracles(case: Case) -> None:
    at = to_millis(case.at)
    found = leadscore.score_events(ruleset_of(case), case.events, case.at).next_change_at
    total = oracle.score(case.document, case.events, at)
    assume(total.exact or not is_near_a_bound(case.document, total.total))
    try:
        expected = oracle.next_change(case.document, case.events, at)
    except oracle.Undecided:
        event("the total follows a bound too closely")
        return
    event("never" if expected.latest is None else "by time")
    last = to_millis(datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC))
    if found is None:
        assert expected.latest is None or expected.latest > last
    else:
        assert expected.earliest is not None
        assert expected.earliest <= to_millis(found)
        assert expected.latest is None or to_millis(found) <= expected.latest


@given(
    st.sampled_from(["1s", "15m", "1d", "30d", "365d"]),
    st.sampled_from(
        [datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(1899, 3, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)]
    ),
    st.sampled_from(["plain", "count", "days", "distinct", "sum", "gate"]),
    st.sampled_from([{}, {"half_life": "365d"}]),
)
def test_a_window_is_exact_to_the_millisecond(window: str, start: datetime, kind: str, half_life: JsonObject) -> None:
    """An event counts as long as it is not older than the window, and the next change is the millisecond after."""
    criterion: JsonObject = {"id": "used", "event": {"event": ["Feature Used"]}, "within": window}
    if kind == "gate":
        criterion["disqualify"] = True
    else:
        criterion |= {"group": "engagement", "points": 20, **half_life}
    thresholds: dict[str, JsonObject] = {
        "count": {"at_least": 1},
        "days": {"at_least": 1, "measure": "days"},
        "distinct": {"at_least": 1, "measure": {"distinct": "properties.feature"}},
        "sum": {"at_least": 3, "measure": {"sum": "properties.minutes"}},
    }
    criterion |= thresholds.get(kind, {})
    other = {"id": "other", "group": "product", "event": {"event": ["Other"]}, "points": 30}
    document = {"tiers": [{"name": "hot", "from": 9}, {"name": "cold"}], "criteria": [criterion, other]}
    ruleset = leadscore.parse_ruleset(document)
    used = {
        "messageId": "m1",
        "timestamp": to_text(to_millis(start)),
        "type": "track",
        "event": "Feature Used",
        "properties": {"feature": "a", "minutes": 3},
    }
    inside = "disqualified" if kind == "gate" else "hot"
    edge = start + milliseconds(window) * MILLISECOND
    assert [tier_at(ruleset, [used], start + d * MILLISECOND) for d in (-1, 0)] == ["cold", inside]
    assert [tier_at(ruleset, [used], edge + d * MILLISECOND) for d in (-1, 0, 1)] == [inside, inside, "cold"]
    assert leadscore.score_events(ruleset, [used], start).next_change_at == edge + MILLISECOND
    assert leadscore.score_events(ruleset, [used], edge).next_change_at == edge + MILLISECOND
    assert leadscore.score_events(ruleset, [used], edge + MILLISECOND).next_change_at is None


def used_at(identifier: str, instant: int) -> JsonObject:
    return {"messageId": identifier, "timestamp": to_text(instant), "type": "track", "event": "Feature Used"}


MIDNIGHT = to_millis(datetime(2024, 3, 1, tzinfo=UTC))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.sampled_from(["1s", "1d"]), st.integers(1, 4))
def test_every_occurrence_leaves_the_window_at_an_edge_of_its_own(ages: list[int], window: str, limit: int) -> None:
    criterion = {"id": "used", "group": "product", "event": {"event": ["Feature Used"]}, "points": 10}
    document = {
        "tiers": [{"name": "hot", "from": 5}, {"name": "cold"}],
        "criteria": [{**criterion, "within": window, "limit": limit}],
    }
    ruleset = leadscore.parse_ruleset(document)
    events = [used_at(f"m{n}", MIDNIGHT - age) for n, age in enumerate(ages)]
    for passed in range(7):
        at = MIDNIGHT + milliseconds(window) - 6 + passed
        left = sum(at - (MIDNIGHT - age) <= milliseconds(window) for age in ages)
        assert leadscore.score_events(ruleset, events, to_datetime(at)).total == 10 * min(left, limit)


@given(
    st.lists(st.integers(-2, 2), min_size=1, max_size=4),
    st.integers(1, 2),
    st.sampled_from(
        [datetime(2024, 2, 29, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(1900, 3, 1, tzinfo=UTC)]
    ),
)
def test_days_are_dates_in_utc(offsets: list[int], needed: int, day: datetime) -> None:
    midnight = to_millis(day)
    instants = [midnight + offset for offset in offsets]
    criterion = {"id": "used", "group": "product", "event": {"event": ["Feature Used"]}, "points": 10}
    document = {
        "tiers": [{"name": "hot", "from": 5}, {"name": "cold"}],
        "criteria": [{**criterion, "measure": "days", "at_least": needed}],
    }
    events = [used_at(f"m{n}", instant) for n, instant in enumerate(instants)]
    dates = {to_datetime(instant).date() for instant in instants}
    tier = tier_at(leadscore.parse_ruleset(document), events, to_datetime(midnight + 5))
    assert tier == ("hot" if len(dates) >= needed else "cold")


@given(
    st.lists(st.sampled_from(["1s", "30s", "15m", None]), min_size=1, max_size=3),
    st.sampled_from(["one event", "each its own"]),
)
def test_a_lead_stays_disqualified_until_the_last_gate_opens(windows: list[str | None], closed_by: str) -> None:
    names = ["Feature Used" if closed_by == "one event" else f"Gate {n}" for n in range(len(windows))]
    gates = [
        {"id": f"gate{n}", "disqualify": True, "event": {"event": [name]}, **({"within": window} if window else {})}
        for n, (name, window) in enumerate(zip(names, windows, strict=True))
    ]
    scored = {"id": "used", "group": "product", "event": {"event": ["Feature Used"]}, "points": 10}
    document = {"tiers": [{"name": "hot", "from": 5}, {"name": "cold"}], "criteria": [*gates, scored]}
    ruleset = leadscore.parse_ruleset(document)
    events = [{**used_at(f"m{n}", MIDNIGHT + n), "event": name} for n, name in enumerate(names)]
    at = to_datetime(MIDNIGHT + len(names))
    closings = [
        max(n for n, other in enumerate(names) if other == name) + milliseconds(window) + 1
        for name, window in zip(names, windows, strict=True)
        if window is not None
    ]
    opens = None if None in windows else to_datetime(MIDNIGHT + max(closings))
    assert tier_at(ruleset, events, at) == "disqualified"
    assert leadscore.score_events(ruleset, events, at).next_change_at == opens


@given(any_case, st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]))
def test_the_zone_that_an_instant_is_written_in_does_not_matter(case: Case, zone: str) -> None:
    assume(2 <= case.at.year <= 9998)
    ruleset = ruleset_of(case)
    elsewhere = case.at.astimezone(ZoneInfo(zone))
    moved = [in_zone(one, ZoneInfo(zone)) for one in case.events]
    expected = as_bytes(leadscore.score_events(ruleset, case.events, case.at))
    assert as_bytes(leadscore.score_events(ruleset, case.events, elsewhere)) == expected
    assert as_bytes(leadscore.score_events(ruleset, moved, case.at)) == expected


def in_zone(one: JsonObject, zone: ZoneInfo) -> JsonObject:
    moment = datetime.fromisoformat(one["timestamp"])
    if moment.year < 2:
        return one
    local = moment.astimezone(zone)
    offset = local.utcoffset() or timedelta(0)
    if offset % timedelta(minutes=1):
        return one
    return {**one, "timestamp": local.isoformat(timespec="milliseconds")}


# ------------------------------------------------------------------------------------------------------- the oracle


def is_near_a_bound(document: JsonObject, total: Fraction) -> bool:
    bounds = [Fraction(tier["from"]) for tier in document["tiers"] if "from" in tier]
    return any(abs(total - bound) < oracle.TOLERANCE for bound in bounds)


def agrees(found: float, expected: Fraction, *, exact: bool) -> bool:
    return Fraction(found) == expected if exact else abs(Fraction(found) - expected) < oracle.TOLERANCE


@given(any_case)
def test_each_event_matches_what_the_oracle_says(case: Case) -> None:
    ruleset = ruleset_of(case)
    for one in case.events:
        expected = tuple(
            c["id"] for c in case.document["criteria"] if "event" in c and oracle.pattern_holds(c["event"], one)
        )
        event("matches" if expected else "matches nothing")
        assert leadscore.match(ruleset, one) == expected


SHAPES: list[Callable[[Any], Any]] = [
    lambda value: {"value": value},
    lambda value: {"value": [value]},
    lambda value: {"value": [[], [value]]},
    lambda value: {"value": {"deeper": value}},
    lambda value: {"other": value},
]


@pytest.mark.parametrize("shape", SHAPES, ids=["alone", "in a list", "in lists", "too deep", "elsewhere"])
def test_every_operator_on_every_value_is_the_oracles(shape: Callable[[Any], Any]) -> None:
    patterns = {f"c{n}": {"properties": {"value": [operator]}} for n, operator in enumerate(every_operator())}
    criteria = [
        {"id": name, "group": "product", "event": pattern, "points": 1, "max": 1} for name, pattern in patterns.items()
    ]
    ruleset = leadscore.parse_ruleset({"tiers": [{"name": "hot", "from": 1}, {"name": "cold"}], "criteria": criteria})
    for value in ALPHABET:
        one = {
            "messageId": "m1",
            "timestamp": to_text(MIDNIGHT),
            "type": "track",
            "event": "x",
            "properties": shape(value),
        }
        expected = {name for name, pattern in patterns.items() if oracle.pattern_holds(pattern, one)}
        wrong = expected ^ set(leadscore.match(ruleset, one))
        assert not [patterns[name] for name in wrong], value


def check_score(case: Case) -> None:
    score = leadscore.score_events(ruleset_of(case), case.events, case.at)
    expected = oracle.score(case.document, case.events, to_millis(case.at))
    exact = expected.exact
    assert agrees(score.total, expected.total, exact=exact)
    if exact or not is_near_a_bound(case.document, expected.total):
        assert score.tier == expected.tier
    assert score.disqualified_by == expected.disqualified_by
    for name in score.groups | expected.groups:
        assert agrees(score.groups.get(name, 0.0), expected.groups.get(name, Fraction(0)), exact=exact)
    assert abs(Fraction(score.coverage) - expected.coverage) < oracle.TOLERANCE
    converted_at = None if expected.converted_at is None else to_datetime(expected.converted_at)
    assert score.converted_at == converted_at
    assert score.raised == expected.raised


def check_explanation(case: Case) -> None:
    score = leadscore.score_events(ruleset_of(case), case.events, case.at)
    expected = oracle.score(case.document, case.events, to_millis(case.at))
    assert [factor.criterion for factor in score.factors] == [factor.id for factor in expected.factors]
    for factor, its in zip(score.factors, expected.factors, strict=True):
        event("a factor with cuts" if its.points != its.decayed else "a factor without cuts")
        assert factor.group == its.group
        kept: Any = factor.to_dict()["occurrences"]
        assert sorted((one["event"], one["time"]) for one in kept) == sorted((i, to_text(t)) for i, t in its.kept)
        for found, right in [
            (factor.raw, its.raw),
            (factor.decayed, its.decayed),
            (factor.cuts.criterion, its.criterion_cut),
            (factor.cuts.group, its.group_cut),
            (factor.cuts.total, its.total_cut),
            (factor.points, its.points),
        ]:
            assert agrees(found, right, exact=expected.exact)
    missed = {one.criterion: one.reason for one in score.missed}
    gates = {c["id"] for c in case.document["criteria"] if c.get("disqualify")}
    assert missed.keys() - gates == expected.missed.keys()
    for criterion, reason in missed.items():
        event(f"missed: {reason}")
        assert criterion in gates or reason in expected.missed[criterion]


@given(any_case)
def test_the_score_is_the_oracles(case: Case) -> None:
    check_score(case)


@given(any_case)
def test_the_explanation_is_the_oracles(case: Case) -> None:
    check_explanation(case)


@given(threshold_cases())
def test_thresholds_limits_and_gates_are_the_oracles(case: Case) -> None:
    check_score(case)
    check_explanation(case)


@given(
    st.integers(2040, 2056),
    st.sampled_from(["x", "é", "\U0001f600", '"', "\n"]),
    st.sampled_from(["text", "list", "object"]),
    st.booleans(),
)
def test_a_trait_counts_up_to_its_largest_size(size: int, filler: str, shape: str, account: bool) -> None:
    """2048 bytes of canonical JSON are known, and with one more the trait is as good as removed."""
    around = {"text": "", "list": [""], "object": {"deep": ""}}[shape]
    frame = len(oracle.canonical(around))
    each = len(oracle.canonical(filler).encode()) - 2
    long = filler * ((size - frame) // each) + "x" * ((size - frame) % each)
    value: Any = {"text": long, "list": [long], "object": {"deep": long}}[shape]
    assert len(oracle.canonical(value).encode()) == size
    clauses: Any = {"deep": [{"exists": True}]} if shape == "object" else [{"exists": True}]
    traits = {"account": {"plan": clauses}} if account else {"plan": clauses}
    criterion = {"id": "planned", "group": "fit", "traits": traits, "points": 10}
    document = {"tiers": [{"name": "hot", "from": 5}, {"name": "cold"}], "criteria": [criterion]}
    kind = {"type": "group", "groupId": "g1"} if account else {"type": "identify"}
    small: Any = {"text": "small", "list": ["small"], "object": {"deep": "small"}}[shape]
    events = [
        {
            "messageId": f"m{n}",
            "timestamp": f"2024-02-29T00:00:0{n}.000Z",
            "userId": "u1",
            "traits": {"plan": v},
            **kind,
        }
        for n, v in enumerate([small, value])
    ]
    score = leadscore.score_events(leadscore.parse_ruleset(document), events, datetime(2024, 3, 1, tzinfo=UTC))
    assert score.tier == ("hot" if size <= 2048 else "cold")
    assert score.coverage == (1.0 if size <= 2048 else 0.0)


@given(documents())
def test_documents_are_equal_in_json_and_in_any_order_of_keys(document: JsonObject) -> None:
    parsed = leadscore.parse_ruleset(document)
    backwards = json.dumps(reversed_keys(document))
    assert leadscore.parse_ruleset(backwards).version == parsed.version
    assert leadscore.parse_ruleset(backwards).state_digest == parsed.state_digest


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(one) for one in value] if isinstance(value, list) else value
