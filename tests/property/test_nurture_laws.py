"""The laws of announcing quiet leads over generated weeks: runs that die, overlap and repeat, leads that wake up."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from leadscore.core.identity import meanings
from leadscore.core.instants import DAY, Millis, parse_instant
from leadscore.core.signals import LeadNeedsNurturing
from tests.unit.test_nurturing import CrashError, Office, changed, nurture_fields

LEADS = ("ann", "bob", "cid", "dan", "eve")
EVERY, SILENT = 5, 2

# What happens: to whom, or how a run ends; and how many hours pass before.
MOVES: list[tuple[str, Any]] = [
    *[("run", None)] * 6,
    ("die", "before"),
    ("die", "after"),
    ("overlap", None),
    *(("hear", (lead, name)) for lead in LEADS[:2] for name in ("Webinar", "Unheard Of", "Trial Started")),
    ("join", "ann"),
]
moves = st.lists(st.tuples(st.sampled_from([0, 1, 23, 24, 25, 49]), st.sampled_from(MOVES)), min_size=5, max_size=30)


class Week:
    """An office over some weeks, and all that its bus was ever told, with the instant."""

    def __init__(self, daily: int) -> None:
        fields = nurture_fields(every=f"{EVERY}d", silent_for=f"{SILENT}d", daily=daily)
        self.office = Office(changed(**fields))
        self.told: list[LeadNeedsNurturing] = []
        for number, lead in enumerate(LEADS):
            self.office.quiet(lead, 20 + number, employees=500 if number % 2 else 1, plan="pro" if number == 1 else "x")
        # What the visitor is by now, and was told as.
        self.office.hear("", 30, "identify", anonymousId="v1", traits={"title": "VP"})

    def go(self, kind: str, what: Any) -> None:
        office = self.office
        match kind:
            case "run":
                office.nurture()
            case "die":
                office.bus.dies = what
                with suppress(CrashError):
                    office.nurture()
                office.bus.dies = None
            case "overlap":
                self._overlap()
            case "hear":
                office.hear(what[0], 0, event=what[1])
            case "join":
                office.hear(what, 0, anonymousId="v1", event="Unheard Of")

    def _overlap(self) -> None:
        """Let a whole run happen in the middle of another, after the latter has read and before it takes anything."""
        office = self.office
        spent = office.marks.spent

        def overtaken(day: str) -> int:
            office.marks.spent = spent  # type: ignore[method-assign]
            count = spent(day)
            office.nurture()
            return count

        office.marks.spent = overtaken  # type: ignore[method-assign]
        office.nurture()
        office.marks.spent = spent  # type: ignore[method-assign]


def live(daily: int, history: list[tuple[int, tuple[str, Any]]]) -> Week:
    week = Week(daily)
    for hours, (kind, what) in history:
        week.office.wait(hours / 24)
        week.go(kind, what)
    return week


def at_of(signal: LeadNeedsNurturing) -> Millis:
    return parse_instant(signal.at)


@given(st.integers(1, 3), moves)
def test_nobody_is_announced_twice_within_a_period_but_under_the_same_id(daily: int, history: Any) -> None:
    week = live(daily, history)
    told = week.office.bus.told
    for lead in {signal.person["id"] for signal in told}:
        own = [signal for signal in told if signal.person["id"] == lead]
        for one, other in pairwise(own):
            assert one.id == other.id or at_of(other) - at_of(one) >= EVERY * DAY
    event(f"{len(told)} announced")


@given(st.integers(1, 3), moves)
def test_no_day_has_more_than_its_budget(daily: int, history: Any) -> None:
    week = live(daily, history)
    days: dict[str, int] = {}
    for signal in week.office.bus.told:
        days[signal.at[:10]] = days.get(signal.at[:10], 0) + 1
    assert all(number <= daily for number in days.values())
    assert all(number <= daily for number in week.office.marks.counts.values())


@given(st.integers(1, 3), moves)
def test_those_who_are_announced_at_once_are_the_best_and_in_order(daily: int, history: Any) -> None:
    week = live(daily, history)
    office = week.office
    office.wait(1)
    before = len(office.bus.told)
    office.nurture()
    told = office.bus.told[before:]
    # Were there no end to the budget, who else would have been told of?
    office.rules = changed(**nurture_fields(every=f"{EVERY}d", silent_for=f"{SILENT}d", daily=1000))
    office.nurture()
    others = office.bus.told[before + len(told) :]
    ranked = [(-signal.score, meanings(signal.person["id"])[0]) for signal in (*told, *others)]
    assert ranked == sorted(ranked)
    assert len(told) == min(daily, len(ranked))


@given(st.integers(1, 3), moves)
def test_whoever_was_taken_by_a_run_that_died_and_stays_quiet_is_not_lost(daily: int, history: Any) -> None:
    week = live(daily, history)
    office = week.office
    waiting = {mark.id: lead for lead, mark in office.marks.marks.items() if not mark.told}
    known = {signal.id for signal in office.bus.told}
    for _ in range(12):
        office.wait(1)
        office.nurture()
    told = {signal.id for signal in office.bus.told}
    for id_, lead in waiting.items():
        stored = office.store.identities[lead]
        if stored.body is not None and stored.body.tier == "cold":
            event("one was left waiting")
            assert id_ in told or any(
                signal.person["id"] in lead for signal in office.bus.told if signal.id not in known
            )


def test_the_laws_are_put_to_the_test_by_what_is_generated() -> None:
    """A week in which all happens has leads that are announced, repeated and announced again."""
    history = [(24, ("die", "after")), *[(24, ("run", None))] * 8]
    told = [signal.id for signal in live(2, history).office.bus.told]
    assert len(told) > len(set(told)) > len(LEADS)
