"""A wanted alert on its way: recorded, filed, released once, repeated under its id after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadscore import parse_ruleset
from leadscore.core.alert_desk import snooze
from leadscore.core.alerts import Alert
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, Millis, format_instant, from_datetime
from leadscore.core.p_convert import CalibrationNote, CalibrationSample, PConvert
from leadscore.core.ruleset import Ruleset
from leadscore.learning.calibration import Calibration, DatedCalibration
from leadscore.usecases.alert_records import Seen, StoredDesk
from leadscore.usecases.alerting import AlertTools, release_desk, take_changes
from leadscore.usecases.records import ConflictError
from leadscore.usecases.scoring import Tools, apply_events
from tests.contract.memory_desks import MemoryDesks
from tests.contract.memory_store import MemoryStore

MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
RULES = {
    "goal": {"event": ["Subscription Started"]},
    "tiers": [{"name": "hot", "from": 50}, {"name": "cold"}],
    "criteria": [
        {
            "id": "trial",
            "label": "Trial",
            "group": "engagement",
            "event": {"event": ["Trial Started"]},
            "points": 60,
            "half_life": "30d",
        },
        {"id": "left", "group": "engagement", "event": {"event": ["Unsubscribed"]}, "points": -25, "half_life": "none"},
        {"id": "back", "group": "engagement", "event": {"event": ["Webinar Attended"]}, "points": 30},
    ],
}


def rules(**alerts: Any) -> Ruleset:
    return parse_ruleset({**RULES, "alerts": {"tier": "hot", **alerts}})


class CrashError(BaseException):
    """The worker died: nothing in it can catch that."""


@dataclass
class Fake:
    """The ways out; of the first publications `crashes` kill the worker, others `fail`, once they were made."""

    alerts: list[Alert] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)
    reports: int = 0
    crashes: int = 0
    fails: int = 0

    def publish(self, alert: Alert) -> None:
        self.alerts.append(alert)
        if self.crashes:
            self.crashes -= 1
            raise CrashError
        if self.fails:
            self.fails -= 1
            raise ConnectionError

    def report(self) -> None:
        self.reports += 1

    def send_all(self, bodies: Sequence[str]) -> None:
        self.releases += bodies


@dataclass
class Office:
    """The stores, the clock and the ways out."""

    ruleset: Ruleset
    now: datetime = MONDAY
    store: MemoryStore = field(default_factory=MemoryStore)
    desks: MemoryDesks = field(default_factory=MemoryDesks)
    fake: Fake = field(default_factory=Fake)
    tokens: int = 0
    calibration: DatedCalibration | None = None
    lease: Millis = 0

    def make_token(self) -> str:
        self.tokens += 1
        return f"token-{self.tokens}"

    @property
    def tools(self) -> AlertTools:
        return AlertTools(
            desks=self.desks,
            reader=self.store,
            people=self.store,
            ruleset=self.ruleset,
            publisher=self.fake,
            releases=self.fake,
            calibration=lambda: self.calibration,
            lead_page="https://x.example/{id}",
            feedback_url="https://api.example/v1",
            make_token=self.make_token,
            clock=lambda: self.now,
            pause=lambda _: None,
            report=self.fake.report,
            lease=self.lease,
        )

    def send(self, lead: str, message: str, kind: str = "track", **content: Any) -> None:
        at = self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        event = {"messageId": message, "type": kind, "timestamp": at, "userId": lead, **content}
        scoring = Tools(store=self.store, ruleset=self.ruleset, clock=lambda: self.now, pause=lambda _: None)
        for identity in apply_events(scoring, {f"user:{lead}": [event]}).pending:
            for change in self.store.pending(identity):
                take_changes(self.tools, identity, [change])()

    def start_trial(self, lead: str, **content: Any) -> None:
        self.send(lead, f"{lead}-{self.now.timestamp()}", event="Trial Started", **content)

    def release(self, name: str) -> Alert | None:
        return release_desk(self.tools, name)

    def outcomes(self) -> list[tuple[str, str, str]]:
        return sorted((one.change.person["id"], one.outcome, one.reason) for one in self.desks.changes.values())


def desk_of(lead: str) -> str:
    return f"lead:{pseudonym(f'user:{lead}')}"


def test_a_hot_lead_is_told_of_with_what_it_did() -> None:
    office = Office(rules())
    office.send("ada", "m1", "identify", traits={"name": "Ada", "owner": "kim", "source": "website"})
    office.start_trial("ada")
    assert office.fake.releases == [f'{{"desk": "{desk_of("ada")}"}}']
    alert = office.release(desk_of("ada"))
    assert office.fake.alerts == [alert]
    assert alert is not None
    [lead] = alert.leads
    assert (lead.person["name"], lead.owner, lead.source, lead.score, lead.tier) == ("Ada", "kim", "website", 60, "hot")
    assert [(one.label, one.points, one.last_at) for one in lead.reasons] == [("Trial", 60, "2026-03-02T10:00:00.000Z")]
    verdict = f"https://api.example/v1/alerts/{alert.id}/verdict"
    about = f"lead={pseudonym('user:ada')}&t=token-1"
    assert lead.links == {
        "lead": "https://x.example/ada",
        "good": f"{verdict}?v=good&{about}",
        "junk": f"{verdict}?v=junk&{about}",
        "snooze": f"{verdict}?v=snooze&{about}",
    }
    assert office.outcomes() == [("ada", "sent", "entered hot")]
    record = office.desks.find_alert(alert.id)
    assert record is not None
    assert (record.sent_at, record.entries[0].criteria) == (from_datetime(MONDAY), {"trial": 60})
    assert office.release(desk_of("ada")) is None
    assert len(office.fake.alerts) == 1


@pytest.mark.parametrize(
    ("ruleset", "age", "status"),
    [
        (None, timedelta(days=3), "current"),
        (None, timedelta(days=46), "stale"),
        ("abcdef123456", timedelta(days=3), "other ruleset"),
    ],
)
def test_a_chance_to_convert_is_told_only_by_a_recent_calibration_of_the_ruleset_in_force(
    ruleset: str | None, age: timedelta, status: str
) -> None:
    office = Office(rules())
    taken_at = from_datetime(MONDAY - age)
    fitted = Calibration(-4.0, 0.05, (0.04, -0.0005, 0.00001), leads=1200, conversions=140)
    office.calibration = DatedCalibration(fitted, taken_at, 30 * DAY, ruleset or office.ruleset.version)
    office.start_trial("ada")

    alert = office.release(desk_of("ada"))

    assert alert is not None
    [lead] = alert.leads
    known = PConvert(*fitted.estimate(lead.score))
    assert lead.p_convert == (known if status == "current" else None)
    sample = CalibrationSample(format_instant(taken_at), 1200, 140, 30.0, office.calibration.ruleset)
    assert alert.calibration == CalibrationNote(status, sample)  # type: ignore[arg-type]


def test_taking_a_change_again_files_nothing_but_asks_again_for_the_release() -> None:
    office = Office(rules())
    office.start_trial("ada")
    [change] = office.store.pending("user:ada")
    take_changes(office.tools, "user:ada", [change])()
    assert len(office.fake.releases) == 2
    assert len([office.release(desk_of("ada")) for _ in range(2) if office.fake.alerts == []]) == 1
    take_changes(office.tools, "user:ada", [change])()
    assert office.release(desk_of("ada")) is None


def test_a_crash_after_publishing_tells_once_more_under_the_same_id() -> None:
    office = Office(rules())
    office.start_trial("ada")
    office.fake.crashes = 1
    with pytest.raises(CrashError):
        office.release(desk_of("ada"))
    assert office.outcomes() == [("ada", "waiting", "entered hot")]
    assert list(office.desks.walk_due(from_datetime(MONDAY))) == [desk_of("ada")]
    office.release(desk_of("ada"))
    assert office.release(desk_of("ada")) is None
    first, second = office.fake.alerts
    assert first == second
    assert office.outcomes() == [("ada", "sent", "entered hot")]


def test_what_waits_is_judged_by_how_it_stands_when_its_time_comes() -> None:
    office = Office(rules(delay="10m"))
    office.start_trial("ada")
    office.start_trial("bob")
    assert office.fake.releases == []
    assert office.release(desk_of("ada")) is None
    office.now += timedelta(minutes=10)
    office.send("ada", "paid", event="Subscription Started")
    assert list(office.desks.walk_due(from_datetime(office.now))) == sorted([desk_of("ada"), desk_of("bob")])
    office.release(desk_of("ada"))
    office.release(desk_of("bob"))
    assert [alert.leads[0].person["id"] for alert in office.fake.alerts] == ["bob"]
    assert ("ada", "suppressed", "has converted") in office.outcomes()
    assert list(office.desks.walk_due(from_datetime(office.now + timedelta(days=365)))) == []


def test_people_of_one_account_go_out_together_and_in_one_follow_up() -> None:
    office = Office(rules(delay="1m", account_cooldown="1d"))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme", traits={"name": "Acme Inc"})
        office.start_trial(lead)
    office.now += timedelta(minutes=1)
    first = office.release("account:acme")
    assert first is not None
    assert first.account is not None
    assert (first.kind, first.account.name, len(first.leads)) == ("alert", "Acme Inc", 2)
    office.send("eve", "g-eve", "group", groupId="acme")
    office.start_trial("eve")
    assert office.release("account:acme") is None
    office.now += timedelta(days=1)
    follow_up = office.release("account:acme")
    assert follow_up is not None
    assert (follow_up.kind, [one.person["id"] for one in follow_up.leads]) == ("follow_up", ["eve"])


def test_a_lead_that_was_joined_to_another_is_told_of_under_that_one() -> None:
    office = Office(rules(delay="1m"))
    event = {"type": "track", "event": "Trial Started", "timestamp": "2026-03-02T10:00:00.000Z"}
    scoring = Tools(store=office.store, ruleset=office.ruleset, clock=lambda: office.now, pause=lambda _: None)
    done = apply_events(scoring, {"anonymous:d": [{"messageId": "v", "anonymousId": "d", **event}]})
    for identity in done.pending:
        for change in office.store.pending(identity):
            take_changes(office.tools, identity, [change])()
    office.send("ada", "join", "identify", anonymousId="d", traits={"name": "Ada"})
    office.now += timedelta(minutes=1)
    office.release(f"lead:{pseudonym('anonymous:d')}")
    [alert] = office.fake.alerts
    assert (alert.leads[0].person["id"], alert.leads[0].person["name"]) == ("ada", "Ada")


def test_an_erased_lead_is_told_of_by_nobody() -> None:
    office = Office(rules(delay="1m"))
    office.start_trial("ada")
    office.now += timedelta(minutes=1)
    del office.store.identities["user:ada"]
    assert office.release(desk_of("ada")) is None
    assert office.outcomes() == [("ada", "suppressed", "is gone")]


def test_a_desk_that_others_write_meanwhile_is_judged_again() -> None:
    office = Office(rules())
    office.start_trial("ada")
    save, lost = office.desks.save, [True, True]

    def contended(stored: StoredDesk) -> None:
        if lost:
            lost.pop()
            raise ConflictError
        save(stored)

    office.desks.save = contended  # type: ignore[method-assign]
    assert office.release(desk_of("ada")) is not None
    assert len(office.fake.alerts) == 1


def test_changes_of_no_alert_are_recorded_with_their_outcome() -> None:
    office = Office(rules())
    office.start_trial("ada")
    office.now += timedelta(days=10)
    office.send("ada", "paid", event="Subscription Started")
    kinds = {(one.change.kind, one.outcome) for one in office.desks.changes.values()}
    assert kinds == {("tier", "waiting"), ("tier", "none"), ("conversion", "none")}
    assert {key.lead for key in office.desks.changes} == {pseudonym("user:ada")}


def test_who_was_told_of_a_lead_is_not_told_again_of_a_device_of_its(  # the desk of the device knows of nothing
) -> None:
    office = Office(rules(delay="10m", cooldown="7d"))
    office.send("ada", "m1", "identify", traits={"name": "Ada"})
    office.start_trial("ada")
    office.now += timedelta(minutes=10)
    assert office.release(desk_of("ada")) is not None
    office.now += timedelta(hours=1)
    at = office.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    visit = {"messageId": "v", "type": "track", "event": "Trial Started", "timestamp": at, "anonymousId": "d"}
    scoring = Tools(store=office.store, ruleset=office.ruleset, clock=lambda: office.now, pause=lambda _: None)
    for identity in apply_events(scoring, {"anonymous:d": [visit]}).pending:
        for change in office.store.pending(identity):
            take_changes(office.tools, identity, [change])()
    office.send("ada", "join", "identify", anonymousId="d", traits={"name": "Ada"})
    office.now += timedelta(minutes=10)
    assert office.release(f"lead:{pseudonym('anonymous:d')}") is None
    assert len(office.fake.alerts) == 1
    assert ("anonymous:d", "suppressed", "within the cooldown of the last alert") in office.outcomes()


def test_a_release_tells_of_fifty_people_at_most_and_the_next_of_the_others() -> None:
    office = Office(rules(delay="1m"))
    for number in range(60):
        lead = f"lead-{number:02}"
        office.send(lead, f"g-{lead}", "group", groupId="acme")
        office.start_trial(lead)
    office.now += timedelta(minutes=1)
    told = [len(alert.leads) if (alert := office.release("account:acme")) else 0 for _ in range(3)]
    assert told == [50, 10, 0]


def test_a_desk_where_nothing_waits_is_kept_until_it_can_no_longer_matter() -> None:
    office = Office(rules(cooldown="60d"))
    office.start_trial("ada")
    assert office.desks.load(desk_of("ada")).kept_until is None
    office.release(desk_of("ada"))
    assert office.desks.load(desk_of("ada")).kept_until == from_datetime(office.now + timedelta(days=60))


def test_an_alert_of_which_nobody_is_left_is_none_and_starts_no_cooldown() -> None:
    office = Office(rules(account_cooldown="1d"))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme")
    office.start_trial("ada")
    office.fake.crashes = 1
    with pytest.raises(CrashError):
        office.release("account:acme")
    del office.store.identities["user:ada"]
    assert office.release("account:acme") is None
    assert office.outcomes() == [("ada", "suppressed", "is gone")]
    office.start_trial("bob")
    told = office.release("account:acme")
    assert told is not None
    assert (told.kind, [one.person["id"] for one in told.leads]) == ("alert", ["bob"])


def test_who_left_while_its_account_held_the_alert_is_told_of_when_it_returns() -> None:
    office = Office(rules(delay="2m", account_cooldown="1d", cooldown="7d", rearm_below=40))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme")
    office.start_trial("ada")
    office.now += timedelta(minutes=2)
    assert office.release("account:acme") is not None
    office.start_trial("bob")
    office.now += timedelta(hours=2)
    office.send("bob", "left", event="Unsubscribed")
    office.now += timedelta(hours=10)
    office.send("bob", "back", event="Webinar Attended")
    office.now += timedelta(hours=12)
    told = office.release("account:acme")
    assert told is not None
    assert [one.person["id"] for one in told.leads] == ["bob"]
    assert ("bob", "suppressed", "within the cooldown of the last alert") not in office.outcomes()


@pytest.mark.parametrize("filed", [False, True])
def test_what_asks_for_an_alert_while_the_policy_is_taken_away_is_on_record_and_hinders_nothing(filed: bool) -> None:
    office = Office(rules(delay="2m"))
    office.start_trial("ada")
    office.ruleset = parse_ruleset({key: value for key, value in RULES.items() if key != "alerts"})
    if not filed:
        office.desks = MemoryDesks()
        for change in office.store.pending("user:ada"):
            take_changes(office.tools, "user:ada", [change])()
    office.now += timedelta(minutes=2)
    assert office.release(desk_of("ada")) is None
    assert office.outcomes() == [("ada", "suppressed", "no alert policy")]
    assert office.desks.load(desk_of("ada")).due is None


# --- Published by the call that files it.

LEASE: Millis = 35_000


def test_what_is_alone_on_its_desk_is_published_by_the_call_that_files_it() -> None:
    office = Office(rules(), lease=LEASE)
    office.start_trial("ada")
    [alert] = office.fake.alerts
    assert (alert.leads[0].person["id"], office.fake.releases) == ("ada", [])
    assert office.outcomes() == [("ada", "sent", "entered hot")]
    record, stored = office.desks.find_alert(alert.id), office.desks.load(desk_of("ada"))
    assert record is not None
    assert record.sent_at == from_datetime(MONDAY)
    assert (stored.due, stored.desk.sealed, stored.desk.leased_until) == (None, None, None)
    [change] = office.store.pending("user:ada")
    assert take_changes(office.tools, "user:ada", [change])() == []
    assert office.release(desk_of("ada")) is None
    assert len(office.fake.alerts) == 1


def test_two_changes_of_one_lead_are_one_alert() -> None:
    office = Office(rules(always=["Trial Started"]))
    office.start_trial("ada")
    changes = office.store.pending("user:ada")
    assert sorted(change.kind for change in changes) == ["hand_raise", "tier"]
    office.desks, office.lease = MemoryDesks(), LEASE
    [alert] = take_changes(office.tools, "user:ada", changes)()
    assert office.fake.alerts == [alert]
    assert [lead.cause for lead in alert.leads] == ["hand_raise"]


def leased(office: Office) -> Callable[[], Sequence[Alert]]:
    """Have a call file and seal that ada is hot, and return what it would publish it with."""
    office.start_trial("ada")
    changes = office.store.pending("user:ada")
    office.desks, office.lease, office.fake.releases = MemoryDesks(), LEASE, []
    return take_changes(office.tools, "user:ada", changes)


def test_what_one_call_has_sealed_is_published_by_nobody_else_until_its_lease_is_over() -> None:
    office = Office(rules())
    publish, name = leased(office), desk_of("ada")
    over = from_datetime(MONDAY) + LEASE
    assert office.desks.load(name).due == over
    assert list(office.desks.walk_due(over - 1)) == []
    assert office.release(name) is None
    assert take_changes(office.tools, "user:ada", office.store.pending("user:ada"))() == []
    assert (office.fake.alerts, office.fake.releases) == ([], [])
    [alert] = publish()
    assert office.fake.alerts == [alert]


def test_what_is_not_published_before_its_lease_is_over_is_found_and_goes_out_under_its_id() -> None:
    office = Office(rules())
    leased(office)
    sealed = office.desks.load(desk_of("ada")).desk.sealed
    assert sealed is not None
    office.now += timedelta(milliseconds=LEASE)
    assert list(office.desks.walk_due(from_datetime(office.now))) == [desk_of("ada")]
    alert = office.release(desk_of("ada"))
    assert alert is not None
    record = office.desks.find_alert(alert.id)
    assert record is not None
    assert (alert.id, record.sent_at) == (sealed.id, from_datetime(office.now))
    assert record.token in alert.leads[0].links["good"]
    assert office.outcomes() == [("ada", "sent", "entered hot")]


def test_a_call_that_dies_after_publishing_has_it_repeated_with_the_same_links() -> None:
    office = Office(rules())
    publish = leased(office)
    office.fake.crashes = 1
    with pytest.raises(CrashError):
        publish()
    assert office.release(desk_of("ada")) is None
    office.now += timedelta(milliseconds=LEASE)
    office.release(desk_of("ada"))
    first, second = office.fake.alerts
    assert (first.id, first.leads[0].links) == (second.id, second.leads[0].links)


def test_who_comes_to_a_leased_desk_is_released_when_it_is_free() -> None:
    office = Office(rules(cooldown="none"))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme")
    publish = leased(office)
    office.start_trial("bob")
    assert (office.fake.alerts, office.fake.releases) == ([], [])
    [alert] = publish()
    assert [one.person["id"] for one in alert.leads] == ["ada"]
    assert office.fake.releases == ['{"desk": "account:acme"}']
    told = office.release("account:acme")
    assert told is not None
    assert [one.person["id"] for one in told.leads] == ["bob"]


def test_where_others_wait_the_desk_is_released_by_a_message() -> None:
    office = Office(rules(cooldown="none"))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme")
    office.start_trial("ada")
    office.lease, office.fake.releases = LEASE, []
    office.start_trial("bob")
    assert (office.fake.alerts, office.fake.releases) == ([], ['{"desk": "account:acme"}'])
    told = office.release("account:acme")
    assert told is not None
    assert sorted(one.person["id"] for one in told.leads) == ["ada", "bob"]


def test_of_two_calls_that_file_at_one_desk_at_one_moment_one_publishes_and_leaves_no_record_of_the_other() -> None:
    office = Office(rules(cooldown="none"))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme")
    office.lease = LEASE
    save, other = office.desks.save, [lambda: office.start_trial("bob")]

    def contended(stored: StoredDesk) -> None:
        if other:
            other.pop()()
        save(stored)

    office.desks.save = contended  # type: ignore[method-assign]
    office.start_trial("ada")
    told = [one.person["id"] for alert in office.fake.alerts for one in alert.leads]
    assert told == ["bob", "ada"]
    assert set(office.desks.alerts) == {alert.id for alert in office.fake.alerts}


def test_where_one_way_out_fails_the_links_of_those_who_were_told_by_another_work() -> None:
    office = Office(rules())
    publish = leased(office)
    office.fake.fails = 1
    assert publish() == []
    assert office.fake.reports == 1
    [alert] = office.fake.alerts
    record = office.desks.find_alert(alert.id)
    assert record is not None
    assert record.token in alert.leads[0].links["good"]
    assert record.sent_at is None
    office.now += timedelta(milliseconds=LEASE)
    office.release(desk_of("ada"))
    repeated = office.desks.find_alert(alert.id)
    assert repeated == replace(record, sent_at=from_datetime(office.now))


def test_who_is_erased_while_another_publication_takes_long_is_not_told_of() -> None:
    office = Office(rules())
    publish = leased(office)
    office.now += timedelta(seconds=20)
    del office.store.identities["user:ada"]
    assert publish() == []
    assert office.fake.alerts == []


def test_who_is_erased_while_putting_another_change_on_record_takes_long_is_not_told_of() -> None:
    office = Office(rules())
    office.start_trial("ada")
    seen = seen_by(office)
    [wanted] = seen.lead.pending
    other = replace(wanted, id="another", kind="fit", alert="none", alert_reason="")
    office.desks, office.lease = MemoryDesks(), LEASE
    note = office.desks.note

    def note_slowly(record: Any) -> None:
        note(record)
        office.now += timedelta(seconds=20)
        office.store.identities.pop("user:ada", None)

    office.desks.note = note_slowly  # type: ignore[method-assign]
    assert take_changes(office.tools, "user:ada", [other, wanted], seen)() == []
    outcomes = [(outcome, reason) for _, outcome, reason in office.outcomes()]
    assert outcomes == [("none", ""), ("suppressed", "is gone")]


def test_one_desk_that_cannot_be_told_of_does_not_hold_up_another() -> None:
    office = Office(rules())
    office.start_trial("ada")
    [change] = office.store.pending("user:ada")
    office.desks, office.lease = MemoryDesks(), LEASE
    office.fake.fails = 1
    publish = take_changes(office.tools, "user:ada", [change, replace(change, id="later", account="acme")])
    assert [alert.account is None for alert in publish()] == [False]
    assert office.fake.reports == 1
    assert [alert.account is None for alert in office.fake.alerts] == [True, False]


def test_who_waits_behind_a_lease_is_released_also_where_the_answer_to_the_last_write_is_lost() -> None:
    office = Office(rules(cooldown="none"))
    for lead in ("ada", "bob"):
        office.send(lead, f"g-{lead}", "group", groupId="acme")
    publish = leased(office)
    office.start_trial("bob")
    save = office.desks.save

    def save_unheard(stored: StoredDesk) -> None:
        office.desks.save = save  # type: ignore[method-assign]
        save(stored)
        raise ConflictError("its answer was lost")

    office.desks.save = save_unheard  # type: ignore[method-assign]
    publish()
    assert office.fake.releases == ['{"desk": "account:acme"}']


@dataclass
class Mortal:
    """The stores and the ways out of an office, for a worker that is killed at a call, before or after it is served."""

    office: Office
    dies_at: int
    served: bool
    calls: int = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        whole = self.office.fake if name == "publish" else self.office.desks

        def call(*args: object) -> object:
            self.calls += 1
            is_served = self.calls < self.dies_at or (self.calls == self.dies_at and self.served)
            answer: object = getattr(whole, name)(*args) if is_served else None
            if self.calls >= self.dies_at:
                raise CrashError
            return answer

        return call


# The desk read and written, published, on record as an alert and as a change, settled, the desk written.
STEPS = range(1, 8)


@pytest.mark.parametrize("cools_first", [False, True])
@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_wherever_the_call_is_killed_people_are_told_under_one_id_and_twice_at_most(
    step: int, served: bool, cools_first: bool
) -> None:
    office = Office(rules())
    office.start_trial("ada")
    changes = office.store.pending("user:ada")
    office.desks, office.lease = MemoryDesks(), LEASE
    mortal: Any = Mortal(office, step, served)
    with pytest.raises(CrashError):
        take_changes(replace(office.tools, desks=mortal, publisher=mortal), "user:ada", changes)()
    told = len(office.fake.alerts)
    if cools_first:
        # The schedule finds the desk before the message of the change comes again.
        office.now += timedelta(milliseconds=LEASE)
        office.release(desk_of("ada"))
    take_changes(office.tools, "user:ada", changes)()
    office.now += timedelta(milliseconds=LEASE)
    for _ in range(2):
        office.release(desk_of("ada"))
    assert 1 <= len(office.fake.alerts) <= told + 1
    [(alert, links)] = {(alert.id, tuple(alert.leads[0].links.items())) for alert in office.fake.alerts}
    record, stored = office.desks.find_alert(alert), office.desks.load(desk_of("ada"))
    assert record is not None
    assert record.sent_at is not None
    assert all(record.token in link for name, link in links if name == "good")
    assert (stored.due, stored.desk.sealed, stored.desk.leased_until, stored.desk.token) == (None, None, None, None)
    assert office.outcomes() == [("ada", "sent", "entered hot")]
    [change] = office.desks.changes.values()
    assert change.alert == alert


def test_a_change_that_cannot_be_put_on_record_is_not_forgotten() -> None:
    office = Office(rules())
    publish = leased(office)
    note, lost = office.desks.note, [True]

    def note_in_vain(record: Any) -> None:
        if lost.pop() if lost else False:
            raise ConnectionError("throttled")
        note(record)

    office.desks.note = note_in_vain  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        publish()
    assert office.outcomes() == []
    # Its message comes again, and then the schedule.
    assert take_changes(office.tools, "user:ada", office.store.pending("user:ada"))() == []
    office.now += timedelta(milliseconds=LEASE)
    office.release(desk_of("ada"))
    assert len({alert.id for alert in office.fake.alerts}) == 1
    assert office.outcomes() == [("ada", "sent", "entered hot")]


def test_what_was_filed_and_not_told_of_at_once_is_on_record_as_waiting() -> None:
    office = Office(rules())
    publish = leased(office)
    office.fake.fails = 1
    assert publish() == []
    assert office.outcomes() == [("ada", "waiting", "entered hot")]


def test_who_was_told_of_a_conflict_with_its_own_write_publishes_all_the_same() -> None:
    office = Office(rules(), lease=LEASE)
    save, lost = office.desks.save, [True]

    def save_and_lose_the_answer(stored: StoredDesk) -> None:
        save(stored)
        if lost:
            lost.pop()
            raise ConflictError("a desk was written since it was read")

    office.desks.save = save_and_lose_the_answer  # type: ignore[method-assign]
    office.start_trial("ada")
    assert [alert.leads[0].person["id"] for alert in office.fake.alerts] == ["ada"]
    assert office.outcomes() == [("ada", "sent", "entered hot")]
    assert office.fake.releases == []


# --- What was seen of the lead a moment ago.


def seen_by(office: Office) -> Seen:
    return Seen(office.store.load_identities(["user:ada"])["user:ada"], office.desks.load(desk_of("ada")))


def test_what_was_seen_of_the_lead_is_not_read_again_before_people_are_told() -> None:
    office = Office(rules())
    office.start_trial("ada")
    office.desks, office.lease = MemoryDesks(), LEASE
    seen, blind = seen_by(office), office.tools
    # What is not there cannot be read.
    blind = replace(blind, people=MemoryStore(), reader=MemoryStore())
    publish = take_changes(blind, "user:ada", seen.lead.pending, seen)
    [alert] = publish()
    assert alert.leads[0].person["id"] == "ada"
    assert office.desks.load(desk_of("ada")).version == 2


def test_what_others_have_written_since_the_desk_was_seen_counts() -> None:
    office = Office(rules())
    office.start_trial("ada")
    office.desks, office.lease = MemoryDesks(), LEASE
    seen, stored = seen_by(office), office.desks.load(desk_of("ada"))
    until = from_datetime(MONDAY + timedelta(days=7))
    office.desks.save(StoredDesk(snooze(stored.desk, pseudonym("user:ada"), until), 1))
    assert take_changes(office.tools, "user:ada", seen.lead.pending, seen)() == []
    assert office.fake.alerts == []
    assert office.outcomes() == [("ada", "suppressed", "is snoozed until 2026-03-09T10:00:00.000Z")]


def test_of_a_lead_in_an_account_another_desk_than_that_which_was_seen_is_asked() -> None:
    office = Office(rules())
    office.send("ada", "g", "group", groupId="acme")
    office.start_trial("ada")
    office.desks, office.lease = MemoryDesks(), LEASE
    seen = seen_by(office)
    [alert] = take_changes(office.tools, "user:ada", seen.lead.pending, seen)()
    assert alert.account is not None
    assert alert.account.id == "acme"
    assert set(office.desks.desks) == {"account:acme"}
