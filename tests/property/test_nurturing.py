"""What is advised comes true: whoever does it has the points that were told, and nobody gets there in fewer steps."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from hypothesis import event, given, reject
from hypothesis import strategies as st

from leadscore import Ruleset, Score, parse_ruleset, score_events
from leadscore.core.nurturing import Outlook, look_ahead
from leadscore.core.parsing import InvalidRuleset
from leadscore.core.ruleset import Criterion

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GROUPS = ("engagement", "product", "extra")
Event = dict[str, Any]


def pick(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


@st.composite
def criteria(draw: st.DrawFn, number: int) -> dict[str, Any]:
    name = f"e{number}"
    fields: dict[str, Any] = {"id": name, "group": draw(pick(*GROUPS)), "event": {"event": [name]}}
    fields["points"] = draw(pick(1, 2, 3, 5, 8, 13, -4, -9))
    fields |= draw(pick({}, {"limit": 2}, {"at_least": 2}, {"at_least": 2, "measure": "days"}))
    fields |= draw(pick({}, {"within": "7d"}, {"half_life": "7d"}, {"within": "7d", "half_life": "1d"}))
    fields |= draw(pick({}, {}, {"max": 2.5}))
    fields |= draw(pick({}, {}, {}, {"traits": {"plan": ["pro"]}}))
    return fields


@st.composite
def rulesets(draw: st.DrawFn) -> Ruleset:
    drawn = [draw(criteria(number)) for number in range(draw(st.integers(2, 6)))]
    used = {criterion["group"] for criterion in drawn}
    bounds = st.fixed_dictionaries({}, optional={"max": pick(0, 2.5, 6, 20), "min": pick(0, -3, -5.5)})
    document: dict[str, Any] = {
        "groups": {name: draw(bounds) for name in sorted(used)},
        "total": draw(pick({}, {"min": -100, "max": "none"}, {"max": 12})),
        "criteria": drawn,
    }
    # The highest tier that can be reached, from where it was drawn down.
    for high in range(draw(st.integers(1, 25)), 0, -1):
        tiers = [{"name": "hot", "from": high}, {"name": "warm", "from": high / 2 + 0.25}, {"name": "cold"}]
        with suppress(InvalidRuleset):
            return parse_ruleset({**document, "tiers": tiers})
    return reject()


def done(name: str, ago: timedelta, number: int) -> Event:
    at = (NOW - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"messageId": f"{name}-{number}-{ago}", "type": "track", "event": name, "timestamp": at, "userId": "ann"}


@st.composite
def leads(draw: st.DrawFn) -> tuple[Ruleset, list[Event]]:
    """A ruleset, and what a lead did of it up to now."""
    ruleset = draw(rulesets())
    names = [criterion.id for criterion in ruleset.criteria]
    past = pick(*(timedelta(days=days) for days in (0, 1, 6, 7, 8, 40, 400)))
    history = [done(draw(pick(*names)), draw(past), number) for number in range(draw(st.integers(0, 6)))]
    if draw(st.booleans()):
        said = {
            **done("plan", timedelta(days=30), 0),
            "type": "identify",
            "traits": {"plan": draw(pick("pro", "free"))},
        }
        history.append({name: value for name, value in said.items() if name != "event"})
    return ruleset, history


def needs_days(criterion: Criterion) -> bool:
    return criterion.measure is not None and criterion.measure.kind == "days"


def do(ruleset: Ruleset, history: list[Event], ids: Iterable[str]) -> Score:
    """Return the score of a lead that has also done as much as each of the criteria asks for, until this instant.

    Of several days the newest is today, so that nothing has decayed.
    """
    wanted = [criterion for criterion in ruleset.criteria if criterion.id in set(ids)]
    today = [
        done(criterion.id, timedelta(days=number if needs_days(criterion) else 0), 99 + number)
        for criterion in wanted
        for number in range(int(criterion.at_least or 1))
    ]
    return score_events(ruleset, [*history, *today], NOW)


def look(ruleset: Ruleset, history: list[Event]) -> tuple[Score, Outlook]:
    score = score_events(ruleset, history, NOW)
    if score.tier == "hot":
        reject()
    return score, look_ahead(score)


@given(leads())
def test_each_action_adds_what_was_told(lead: tuple[Ruleset, list[Event]]) -> None:
    ruleset, history = lead
    score, outlook = look(ruleset, history)
    for step in outlook.actions:
        assert do(ruleset, history, [step.criterion.id]).total - score.total == step.points
    event(f"{len(outlook.actions)} actions")
    assert [step.points for step in outlook.actions] == sorted([s.points for s in outlook.actions], reverse=True)


@given(leads())
def test_what_is_no_action_counts_or_costs_or_adds_nothing_or_cannot_be_done(lead: tuple[Ruleset, list[Event]]) -> None:
    ruleset, history = lead
    score, outlook = look(ruleset, history)
    told = {step.criterion.id for step in (*outlook.actions, *outlook.questions)}
    adding = {factor.criterion for factor in score.factors}
    plan = score.view.get("plan")
    for criterion in ruleset.criteria:
        if criterion.id in told:
            assert criterion.id not in adding
            assert criterion.points > 0
        elif criterion.id not in adding and criterion.points > 0 and (criterion.traits is None or plan == "pro"):
            assert do(ruleset, history, [criterion.id]).total == score.total
    assert {step.unknown for step in outlook.questions} <= {("plan",)}
    assert all(step.criterion.traits is not None for step in outlook.questions)


@given(leads())
def test_way_leads_there_and_none_is_shorter(lead: tuple[Ruleset, list[Event]]) -> None:
    ruleset, history = lead
    score, outlook = look(ruleset, history)
    tiers = [tier.name for tier in ruleset.tiers]
    higher = set(tiers[: tiers.index(score.tier)])
    possible = [missed.criterion for missed in score.missed if can_be_done(score, missed.criterion)]
    reaching = [
        size
        for size in range(1, len(possible) + 1)
        for some in combinations(possible, size)
        if do(ruleset, history, some).tier in higher
    ]
    event("reachable" if reaching else "out of reach")
    if outlook.way is None:
        assert reaching == []
        return
    assert len(outlook.way) == min(reaching)
    assert do(ruleset, history, [step.criterion.id for step in outlook.way]).tier in higher
    assert set(outlook.way) <= set(outlook.actions)


def can_be_done(score: Score, name: str) -> bool:
    definition = next(missed.definition for missed in score.missed if missed.criterion == name)
    return definition.points > 0 and (definition.traits is None or score.view.get("plan") == "pro")


@given(leads())
def test_missing_points_are_those_up_to_the_next_tier(lead: tuple[Ruleset, list[Event]]) -> None:
    ruleset, history = lead
    score, outlook = look(ruleset, history)
    from_ = next(tier.from_ for tier in ruleset.tiers if tier.name == outlook.next_tier)
    assert from_ is not None
    assert outlook.missing == from_ - score.total > 0
