"""Which leads are announced to be nurtured, in which order, how often, and what is left when a run dies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.core.alert_desk import snooze
from leadscore.core.identity import pseudonym
from leadscore.core.instants import from_datetime
from leadscore.core.nurturing import can_rise, least_total, look_ahead
from leadscore.core.signals import LeadNeedsNurturing, detail_text
from leadscore.quarantine import Reason
from leadscore.usecases import nurturing
from leadscore.usecases.alert_records import StoredDesk
from leadscore.usecases.nurturing import NurtureTools, Place, Run, nurture
from tests.contract.memory_desks import MemoryDesks
from tests.contract.memory_nurture_marks import MemoryNurtureMarks
from tests.contract.memory_store import MemoryStore
from tests.unit.story import did, said, score
from tests.unit.test_score_batch import NOW, Queue, from_ingest, make_event, run
from tests.unit.test_signals import check

DOCUMENT: dict[str, Any] = {
    "goal": {"event": ["Subscription Started"]},
    "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
    "groups": {"fit": {"max": 24}, "engagement": {"half_life": "30d"}},
    "criteria": [
        {"id": "executive", "group": "fit", "traits": {"title": [{"prefix": "VP"}]}, "points": 12},
        {
            "id": "size",
            "label": "Large",
            "group": "fit",
            "traits": {"employees": [{"numeric": [">", 99]}]},
            "points": 8,
        },
        {"id": "plan", "group": "fit", "traits": {"plan": ["pro"]}, "points": 3},
        {"id": "rival", "disqualify": True, "traits": {"email": [{"suffix": "@rival.example"}]}},
        {"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 40},
        {"id": "webinar", "label": "Came", "group": "engagement", "event": {"event": ["Webinar"]}, "points": 10},
        {"id": "visit", "group": "engagement", "event": {"type": ["page"]}, "points": 5, "within": "60d"},
    ],
    "alerts": {"tier": "hot", "suppress": {"internal": {"email": [{"suffix": "@ours.example"}]}}},
    "nurture": {"min_fit": 10, "silent_for": "14d", "every": "30d", "daily": 3},
}
RULES = parse_ruleset(DOCUMENT)


class CrashError(Exception):
    """The worker is gone."""


class Bus:
    """Keeps what it takes; dies before or after it has taken so many."""

    def __init__(self) -> None:
        self.told: list[LeadNeedsNurturing] = []
        self.dies: str | None = None

    def put(self, signal: LeadNeedsNurturing) -> None:
        if self.dies == "before":
            raise CrashError
        self.told.append(signal)
        if self.dies == "after":
            raise CrashError


class Office:
    """Leads, marks and a bus, and a clock that stands still."""

    def __init__(self, rules: Ruleset = RULES) -> None:
        self.rules = rules
        self.now = NOW
        self.store = MemoryStore()
        self.marks = MemoryNurtureMarks(self.store)
        self.desks = MemoryDesks()
        self.bus = Bus()
        self._messages = 0

    def hear(self, lead: str, days_ago: float, kind: str = "track", **more: object) -> None:
        """Take in an event of a lead, so many days before now."""
        self._messages += 1
        age = (NOW - self.now).total_seconds() / 86400 + days_ago
        event = make_event(f"n{self._messages}", kind, lead, age, **more)
        run(self.store, Queue(), from_ingest(event), rules=self.rules, now=self.now)

    def quiet(self, lead: str, days_ago: float = 20, **traits: object) -> None:
        """Make a lead that fits, of which nothing was heard since."""
        self.hear(lead, days_ago, "identify", traits={"title": "VP", **traits})

    def nurture(self, after: Place | None = None) -> Run:
        tools = NurtureTools(self.store, self.marks, self.store, self.desks, self.bus, lambda: self.now)
        return nurture(tools, self.rules, after)

    def announced(self) -> list[str]:
        """Return who is announced by a run now, in that order."""
        before = len(self.bus.told)
        self.nurture()
        return [signal.person["id"] for signal in self.bus.told[before:]]

    def wait(self, days: float) -> None:
        self.now += timedelta(days=days)


@pytest.fixture
def office() -> Office:
    return Office()


def changed(**fields: object) -> Ruleset:
    return parse_ruleset({**DOCUMENT, **fields})


def nurture_fields(**fields: object) -> dict[str, object]:
    return {"nurture": {**DOCUMENT["nurture"], **fields}}


# --- Who is announced.


def test_a_lead_that_fits_and_is_quiet_is_announced_with_what_would_lift_it(office: Office) -> None:
    office.hear("ada", 40, "page")
    office.quiet("ada", 20, name="Ada", email="ada@acme.example")
    office.hear("ada", 15, event="Unheard Of")
    assert office.nurture() == Run(announced=1, judged=1)
    [signal] = office.bus.told
    detail = check("LeadNeedsNurturing", detail_text(signal))
    assert (detail["person"]["email"], detail["tier"], detail["fit"]) == ("ada@acme.example", "cold", 12.0)
    assert detail["score"] == pytest.approx(12 + 5 * 2 ** (-40 / 30))
    assert detail["last_seen"] == "2026-02-14T12:00:00.000Z"
    assert (detail["next_tier"], detail["points_missing"]) == ("warm", 25 - detail["score"])
    assert detail["next_best_actions"] == [
        {"criterion": "trial", "label": "trial", "points": 40.0},
        {"criterion": "webinar", "label": "Came", "points": 10.0},
    ]
    assert detail["shortest_way"] == ["trial"]
    assert detail["worth_asking"] == [
        {"criterion": "size", "label": "Large", "points": 8.0, "traits": ["employees"]},
        {"criterion": "plan", "label": "plan", "points": 3.0, "traits": ["plan"]},
    ]
    assert detail["ruleset"] == RULES.version


@pytest.mark.parametrize(
    "tell",
    [
        pytest.param(lambda office: office.hear("ada", 1, event="Unheard Of"), id="an event that matches nothing"),
        pytest.param(lambda office: office.hear("ada", 13.9, "page"), id="one that counts"),
        pytest.param(lambda office: office.hear("ada", 20, event="Trial Started"), id="warm"),
        pytest.param(lambda office: office.hear("ada", 20, event="Subscription Started"), id="converted"),
        pytest.param(lambda office: office.quiet("ada", email="ada@rival.example"), id="disqualified"),
        pytest.param(lambda office: office.quiet("ada", email="ada@ours.example"), id="internal"),
        pytest.param(lambda office: office.quiet("ada", 19, title="Intern"), id="no fit"),
        pytest.param(
            lambda office: office.store.hold(["user:ada"], Reason.BOT, from_datetime(NOW)), id="events do not count"
        ),
        pytest.param(lambda office: hear_nothing(office, NOW + timedelta(seconds=1)), id="snoozed"),
    ],
)
def test_whoever_is_no_quiet_lead_that_fits_is_not_announced(office: Office, tell: Any) -> None:
    office.quiet("bob")
    office.quiet("ada")
    tell(office)
    assert office.announced() == ["bob"]


def hear_nothing(office: Office, until: datetime) -> None:
    name = f"lead:{pseudonym('user:ada')}"
    desk = snooze(office.desks.load(name).desk, pseudonym("user:ada"), from_datetime(until))
    office.desks.save(StoredDesk(desk, 1))


def test_a_snooze_goes_with_the_person_into_an_account(office: Office) -> None:
    office.quiet("ada")
    hear_nothing(office, NOW + timedelta(days=1))
    office.hear("ada", 19, "group", groupId="acme")
    assert office.announced() == []


def test_a_snooze_ends(office: Office) -> None:
    office.quiet("ada")
    hear_nothing(office, NOW)
    assert office.announced() == ["ada"]


def test_silence_is_exact_to_the_instant(office: Office) -> None:
    office.quiet("ada", 14)
    office.now -= timedelta(milliseconds=1)
    assert office.announced() == []
    office.now += timedelta(milliseconds=1)
    assert office.announced() == ["ada"]


def test_what_the_log_has_of_any_id_of_the_person_is_a_sign_of_life(office: Office) -> None:
    office.quiet("ada")
    office.hear("ada", 20, anonymousId="v1")
    office.hear("", 1, anonymousId="v1", event="Unheard Of")
    assert office.announced() == []


def test_without_the_section_nobody_is_announced() -> None:
    office = Office(parse_ruleset({name: value for name, value in DOCUMENT.items() if name != "nurture"}))
    office.quiet("ada")
    assert office.nurture() == Run()


def test_another_tier_is_looked_through_alone() -> None:
    office = Office(changed(**nurture_fields(tier="warm")))
    office.quiet("cold")
    for lead, events in (("warm", ["Webinar"]), ("hot", ["Webinar", "Trial Started"])):
        office.quiet(lead, employees=500)
        for event in events:
            office.hear(lead, 20, event=event)
    assert office.announced() == ["warm"]
    [signal] = office.bus.told
    assert (signal.next_tier, signal.shortest_way) == ("hot", ["trial"])


def test_a_score_that_rises_by_itself_does_not_hide_a_lead() -> None:
    """Its key in the ranking bounds what it will be: above the tier that it is in."""
    taking = {"id": "spam", "group": "product", "event": {"event": ["Spam"]}, "points": -30, "within": "60d"}
    office = Office(changed(criteria=[*DOCUMENT["criteria"], taking]))
    office.quiet("ada", employees=500)
    office.hear("ada", 20, event="Trial Started")
    office.hear("ada", 20, event="Spam")
    assert office.announced() == ["ada"]


# --- How often, how many, in which order.


def test_a_lead_is_announced_once_in_a_period_and_again_after_it(office: Office) -> None:
    office.quiet("ada")
    assert office.announced() == ["ada"]
    for _ in range(29):
        office.wait(1)
        assert office.announced() == []
    office.wait(1)
    assert office.announced() == ["ada"]
    assert len({signal.id for signal in office.bus.told}) == 2


def test_the_period_is_the_persons_whatever_id_it_goes_by(office: Office) -> None:
    office.hear("", 20, "identify", anonymousId="v1", traits={"title": "VP"})
    assert office.announced() == ["anonymous:v1"]
    office.hear("ada", 0, anonymousId="v1", event="Unheard Of")
    office.wait(20)
    assert office.announced() == []
    office.wait(10)
    assert office.announced() == ["ada"]


def test_the_best_are_announced_first_and_the_rest_on_the_days_after(office: Office) -> None:
    for number in range(7):
        office.quiet(f"lead-{number}")
        office.hear(f"lead-{number}", 20 + number, event="Webinar")
    assert office.announced() == ["lead-0", "lead-1", "lead-2"]
    # Where the day's budget is spent, nobody is even looked at.
    assert office.nurture() == Run()
    office.wait(1)
    assert office.announced() == ["lead-3", "lead-4", "lead-5"]
    office.wait(1)
    assert office.announced() == ["lead-6"]


def test_the_best_are_those_with_the_best_score_now_not_the_highest_key(office: Office) -> None:
    """A key is of the last event: of two leads the one that had more then may have less by now."""
    office.quiet("then", 200)
    office.hear("then", 200, event="Webinar")
    office.quiet("now", 20, employees=500)
    office.rules = changed(**nurture_fields(daily=1))
    assert office.announced() == ["now"]


def test_a_run_stops_where_nobody_to_come_can_be_better(office: Office) -> None:
    for number in range(300):
        office.quiet(f"lead-{number:03d}", employees=500 if number < 5 else 1)
    run_ = office.nurture()
    assert (run_.announced, run_.judged, run_.place) == (3, 100, None)


def test_a_run_that_has_looked_at_enough_says_where_to_go_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nurturing, "LEADS_PER_RUN", 100)
    for number in range(150):
        office.hear(f"lead-{number:03d}", 20, "identify", traits={"title": "Intern", "employees": 500})
        office.hear(f"lead-{number:03d}", 20, event="Webinar")
    office.quiet("less")
    first = office.nurture()
    assert (first.announced, first.judged) == (0, 100)
    assert first.place is not None
    assert Place.decode(first.place.encode()) == first.place
    assert office.nurture(first.place) == Run(announced=1, judged=51)
    assert [signal.person["id"] for signal in office.bus.told] == ["less"]


def test_what_the_index_tells_apart_is_not_read(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a ruleset under which scores rise by themselves the walk begins at the top, among leads of higher tiers."""
    monkeypatch.setattr(nurturing, "ENTRIES_PER_RUN", 100)
    taking = {"id": "spam", "group": "product", "event": {"event": ["Spam"]}, "points": -30, "within": "60d"}
    office.rules = changed(criteria=[*DOCUMENT["criteria"], taking])
    for number in range(120):
        office.quiet(f"lead-{number:03d}", employees=500)
        office.hear(f"lead-{number:03d}", 20, event="Webinar")
    office.quiet("ada")
    first = office.nurture()
    assert (first.announced, first.judged) == (0, 0)
    assert office.nurture(first.place) == Run(announced=1, judged=1)


def test_leads_whose_keys_are_far_above_their_scores_are_handed_on(office: Office) -> None:
    office.quiet("ada", 200)
    office.hear("ada", 200, event="Webinar")
    office.store.identities["user:ada"] = with_key(office.store, 2500)
    assert office.nurture().loose == ("user:ada",)


def with_key(store: MemoryStore, points: int) -> Any:
    lead = store.identities["user:ada"]
    assert lead.body is not None
    return replace(lead, body=replace(lead.body, rank_key=10**9 + points))


def test_leads_below_the_fit_are_not_even_read(office: Office) -> None:
    office.hear("visitor", 20, "page")
    office.quiet("ada")
    assert office.nurture().judged == 1


# --- When a run dies, or another one is at work.


@pytest.mark.parametrize("dies", ["before", "after"])
def test_what_a_run_that_died_has_taken_is_announced_later_under_the_same_id(office: Office, dies: str) -> None:
    office.quiet("ada")
    office.bus.dies = dies
    with pytest.raises(CrashError):
        office.nurture()
    [taken] = office.marks.marks.values()
    office.bus.dies = None
    # Whoever took it may still be at work.
    assert office.announced() == []
    office.wait(1)
    assert office.announced() == ["ada"]
    assert {signal.id for signal in office.bus.told} == {taken.id}
    office.wait(29)
    assert office.announced() == []
    assert max(office.marks.counts.values()) == 1


def test_of_two_runs_at_once_one_announces(office: Office) -> None:
    for lead in ("ada", "bob", "cid", "dan"):
        office.quiet(lead)

    class Overtaken(Bus):
        """Lets another run work through while one is in the middle."""

        def put(self, signal: LeadNeedsNurturing) -> None:
            office.bus = Bus()
            office.nurture()
            self.told += [*office.bus.told, signal]

    bus = office.bus = Overtaken()
    office.nurture()
    assert len(bus.told) == len({signal.id for signal in bus.told}) == 3
    assert sorted(signal.person["id"] for signal in bus.told) == ["ada", "bob", "cid"]


def test_a_lead_that_is_written_while_it_is_judged_is_left_for_the_next_run(office: Office) -> None:
    office.quiet("ada")
    load = office.desks.load

    def written_meanwhile(name: str) -> StoredDesk:
        office.hear("ada", 0, "page")
        return load(name)

    office.desks.load = written_meanwhile  # type: ignore[method-assign]
    assert office.announced() == []
    assert office.marks.counts == {}


# --- What would lift a lead.


def test_what_a_lead_is_known_to_be_is_no_action() -> None:
    events = [said("2026-02-01", title="Intern", employees=500)]
    outlook = look_ahead(score(RULES, events, "2026-03-01"))
    assert [step.criterion.id for step in outlook.actions] == ["trial", "webinar", "visit"]
    assert [(step.criterion.id, step.unknown) for step in outlook.questions] == [("plan", ("plan",))]


def test_a_full_group_makes_actions_worth_less_or_nothing() -> None:
    rules = changed(groups={"fit": {"max": 24}, "engagement": {"max": 45}})
    outlook = look_ahead(score(rules, [did("2026-03-01", "Webinar")], "2026-03-01"))
    assert {step.criterion.id: step.points for step in outlook.actions} == {"trial": 35.0, "visit": 5.0}


def test_the_shortest_way_is_not_always_that_of_the_largest_steps() -> None:
    """Of the group far under its least two steps make more than the largest one elsewhere and any other."""
    criteria = [
        {"id": "spam", "group": "product", "event": {"event": ["Spam"]}, "points": -25},
        {"id": "a", "group": "product", "event": {"event": ["A"]}, "points": 20},
        {"id": "b", "group": "product", "event": {"event": ["B"]}, "points": 20},
        {"id": "c", "group": "engagement", "event": {"event": ["C"]}, "points": 3},
        {"id": "d", "group": "engagement", "event": {"event": ["D"]}, "points": 2},
        {"id": "e", "group": "engagement", "event": {"event": ["E"]}, "points": 1},
    ]
    tiers = [{"name": "hot", "from": 15}, {"name": "cold"}]
    rules = parse_ruleset({"tiers": tiers, "criteria": criteria, "groups": {"product": {"min": 0}}})
    outlook = look_ahead(score(rules, [did("2026-02-01", "Spam")], "2026-03-01"))
    assert [step.criterion.id for step in outlook.actions] == ["c", "d", "e", "a", "b"]
    assert outlook.way is not None
    assert [step.criterion.id for step in outlook.way] == ["a", "b"]
    assert [step.points for step in outlook.way] == [0.0, 0.0]


def test_there_is_no_way_where_all_steps_together_do_not_reach() -> None:
    rules = changed(tiers=[{"name": "hot", "from": 78}, {"name": "cold"}], alerts={"tier": "hot"})
    assert look_ahead(score(rules, [], "2026-03-01")).way is None


def test_above_the_highest_tier_is_nothing() -> None:
    rules = changed(tiers=[{"name": "hot", "from": 3}, {"name": "cold"}])
    with pytest.raises(ValueError, match="no tier above hot"):
        look_ahead(score(rules, [said("2026-02-01", plan="pro")], "2026-03-01"))


@pytest.mark.parametrize(
    ("criteria", "least"),
    [
        ([], 10.0),
        ([{"points": -5}], 5.0),
        ([{"points": -5, "limit": 3}], 0.0),
        ([{"points": -5, "limit": 3, "max": 6.5}], 3.5),
        ([{"points": -5, "at_least": 3}], 5.0),
        ([{"points": -5, "limit": 3, "group": "bounded"}], 8.0),
        ([{"points": -5, "group": "fit"}], 10.0),
    ],
)
def test_the_least_that_a_lead_with_fit_can_score(criteria: list[Mapping[str, object]], least: float) -> None:
    extra = [
        {"id": f"x{place}", "group": "engagement", "event": {"event": ["X"]}, **fields}
        for place, fields in enumerate(criteria)
    ]
    keeper = {"id": "keeper", "group": "bounded", "event": {"event": ["K"]}, "points": 1}
    rules = changed(criteria=[*DOCUMENT["criteria"], *extra, keeper], groups={"bounded": {"min": -2}})
    assert least_total(rules, 10) == least


@pytest.mark.parametrize(
    ("fields", "rises"), [({"within": "7d"}, True), ({"half_life": "7d"}, True), ({"half_life": "none"}, False)]
)
def test_a_score_rises_by_itself_where_a_loss_is_forgotten(fields: dict[str, str], rises: bool) -> None:
    loss = {"id": "spam", "group": "engagement", "event": {"event": ["Spam"]}, "points": -5, **fields}
    assert can_rise(changed(criteria=[*DOCUMENT["criteria"], loss])) is rises
    assert can_rise(RULES) is False
