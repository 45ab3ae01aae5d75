"""Sending digests: of people as they stand now, once to each, and again only what did not get out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadscore import parse_ruleset
from leadscore.core.alert_desk import desk_name
from leadscore.core.digest import Digest
from leadscore.core.digest_policy import Round
from leadscore.core.identity import pseudonym
from leadscore.core.instants import from_datetime
from leadscore.core.verdicts import Verdict
from leadscore.usecases import digesting
from leadscore.usecases.alerting import take_changes
from leadscore.usecases.digesting import DigestTools, Done, UndeliveredError, Way, compose, send_digests
from leadscore.usecases.records import ConflictError
from leadscore.usecases.scoring import Tools, apply_events
from tests.unit.digests import listed
from tests.unit.test_alert_delivery import RULES, Office

EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)
ALERTS: dict[str, object] = {"tier": "hot", "always": ["Demo Requested"]}
POLICY = {"alerts": ALERTS, "digest": {"time_zone": "UTC"}}


class Rounds:
    """The use case's rounds in memory; `stolen` writes another one just before the next."""

    def __init__(self) -> None:
        self.round: Round | None = None
        self.marks: set[tuple[str, str]] = set()
        self.stolen = False

    def newest(self) -> Round | None:
        return self.round

    def save(self, new: Round, *, instead_of: Round | None) -> None:
        if self.stolen or self.round != instead_of:
            raise ConflictError("another run of the digest is at work")
        self.round = new

    def sent(self, date: str) -> set[str]:
        return {mark for day, mark in self.marks if day == date}

    def note_sent(self, date: str, mark: str) -> None:
        self.marks.add((date, mark))


@dataclass
class Outlet:
    """A way out that refuses what `refuses` says, and dies after what `dies` says."""

    name: str = "topic"
    sent: list[Digest] = field(default_factory=list)
    refuses: Callable[[Digest], UndeliveredError | None] = lambda _: None
    dies: Callable[[Digest], bool] = lambda _: False
    owners_alone: bool = False

    def takes(self, digest: Digest) -> bool:
        return digest.owner is not None or not self.owners_alone

    def send(self, digest: Digest) -> None:
        problem = self.refuses(digest)
        if problem is not None:
            raise problem
        self.sent.append(digest)
        if self.dies(digest):
            raise KeyboardInterrupt

    @property
    def told(self) -> list[tuple[str | None, dict[str, list[str]]]]:
        return [(digest.owner, listed(digest)) for digest in self.sent]


@dataclass
class Desk:
    """An office whose clock stands a while before eight, and everything that digests need."""

    office: Office = field(default_factory=lambda: Office(parse_ruleset({**RULES, **POLICY})))
    rounds: Rounds = field(default_factory=Rounds)
    topic: Outlet = field(default_factory=Outlet)
    mail: Outlet | None = None

    def __post_init__(self) -> None:
        self.office.now = EIGHT - timedelta(hours=3)

    def tools(self, ruleset: Any = None) -> DigestTools:
        return DigestTools(
            records=self.office.desks,
            reader=self.office.store,
            people=self.office.store,
            ruleset=ruleset or self.office.ruleset,
            lead_page="https://x.example/{id}",
            clock=lambda: self.office.now,
            stage="test",
        )

    def ways(self) -> Sequence[Way]:
        return [self.topic] if self.mail is None else [self.topic, self.mail]

    def digest(self, at: datetime = EIGHT) -> Done:
        self.office.now = at
        return send_digests(self.tools(), self.rounds, self.ways(), 60_000)

    def hot(self, lead: str, owner: str | None = None) -> None:
        traits = {"name": lead.capitalize(), **({"owner": owner} if owner else {})}
        self.office.send(lead, f"{lead}-who", "identify", traits=traits)
        self.office.start_trial(lead)

    def raise_hand(self, lead: str) -> None:
        self.office.send(lead, f"{lead}-raise", event="Demo Requested")
        self.office.release(desk_name(pseudonym(f"user:{lead}"), None))


def test_owners_and_everybody_are_told_once() -> None:
    desk = Desk()
    desk.hot("ada", "kim")
    desk.hot("bob")
    assert desk.digest() == Done(sent=2)
    assert desk.topic.told == [(None, {"new_hot": ["ada", "bob"]}), ("kim", {"new_hot": ["ada"]})]
    assert desk.topic.sent[0].sections[0].leads[0].link == "https://x.example/ada"
    assert desk.digest(EIGHT + timedelta(minutes=15)) == Done()
    assert len(desk.topic.sent) == 2


def test_before_its_time_nothing_is_read_or_sent() -> None:
    desk = Desk()
    desk.hot("ada")
    assert desk.digest(EIGHT - timedelta(seconds=1)) == Done()
    assert desk.rounds.round is None


def test_nothing_is_sent_where_nothing_happened_and_the_day_is_done() -> None:
    desk = Desk()
    assert desk.digest() == Done()
    assert desk.rounds.round is not None
    assert desk.rounds.round.done


def test_leads_are_shown_as_they_stand_now() -> None:
    desk = Desk()
    desk.hot("ada")
    desk.office.now += timedelta(minutes=1)
    desk.office.send("ada", "left", event="Unsubscribed")
    desk.digest()
    [digest] = desk.topic.sent
    [lead] = digest.sections[0].leads
    assert (digest.sections[0].name, lead.tier, lead.person["name"]) == ("cooled", "cold", "Ada")
    assert 34 < lead.score < 35


def test_who_was_erased_is_not_told_of() -> None:
    desk = Desk()
    desk.hot("ada", "kim")
    del desk.office.store.identities["user:ada"]
    assert desk.digest() == Done()


def test_who_was_joined_to_another_is_told_of_once_under_that_one() -> None:
    desk = Desk()
    office = desk.office
    visit(office, "v", "2026-03-02T05:00:00.000Z")
    office.now += timedelta(minutes=1)
    office.send("ada", "join", "identify", anonymousId="d", traits={"name": "Ada"})
    desk.digest()
    assert desk.topic.told == [(None, {"new_hot": ["ada"]})]


def visit(office: Office, message: str, at: str) -> None:
    """Let a visitor who is nobody yet start a trial."""
    event = {"type": "track", "event": "Trial Started", "timestamp": at}
    scoring = Tools(store=office.store, ruleset=office.ruleset, clock=lambda: office.now, pause=lambda _: None)
    done = apply_events(scoring, {"anonymous:d": [{"messageId": message, "anonymousId": "d", **event}]})
    for identity in done.pending:
        for one in office.store.pending(identity):
            take_changes(office.tools, identity, [one])()


def test_who_has_long_been_hot_is_not_new_when_a_visitor_turns_out_to_be_them() -> None:
    desk = Desk()
    desk.hot("ada")
    desk.digest()
    desk.topic.sent.clear()
    visit(desk.office, "v", "2026-03-02T09:00:00.000Z")
    desk.office.now += timedelta(minutes=1)
    desk.office.send("ada", "join", "identify", anonymousId="d", traits={"name": "Ada"})
    desk.digest(EIGHT + timedelta(days=1))
    assert desk.topic.told == []


def test_what_an_import_has_changed_is_no_news() -> None:
    desk = Desk()
    desk.hot("ada")
    records = desk.office.desks.changes
    for key, one in records.items():
        records[key] = replace(one, change=replace(one.change, cause="import"), outcome="suppressed")
    assert desk.digest() == Done()


def test_a_crash_repeats_the_one_that_was_on_its_way_under_its_id_and_no_other() -> None:
    desk = Desk()
    desk.hot("ada", "kim")
    desk.hot("bob", "lee")
    desk.topic.dies = lambda digest: digest.owner == "kim"
    with pytest.raises(KeyboardInterrupt):
        desk.digest()
    desk.topic.dies = lambda _: False
    assert desk.digest(EIGHT + timedelta(minutes=15)) == Done(sent=2)
    assert [digest.owner for digest in desk.topic.sent] == [None, "kim", "kim", "lee"]
    assert desk.topic.sent[1].id == desk.topic.sent[2].id
    assert desk.digest(EIGHT + timedelta(minutes=30)) == Done()


def test_what_was_refused_for_now_is_tried_again_alone() -> None:
    desk = Desk()
    desk.hot("ada", "kim")
    desk.hot("bob", "lee")
    throttled = UndeliveredError("Throttling", final=False)
    desk.topic.refuses = lambda digest: throttled if digest.owner == "kim" else None
    assert desk.digest() == Done(sent=2, failed=(throttled,))
    desk.topic.refuses = lambda _: None
    assert desk.digest(EIGHT + timedelta(minutes=15)) == Done(sent=1)
    assert [digest.owner for digest in desk.topic.sent] == [None, "lee", "kim"]


def test_what_one_owner_did_not_get_is_not_told_to_the_others_again_on_the_next_day() -> None:
    desk = Desk()
    desk.hot("ada", "kim")
    desk.topic.refuses = lambda digest: UndeliveredError("Throttling", final=False) if digest.owner == "kim" else None
    desk.digest()
    assert desk.digest(EIGHT + timedelta(days=1)) == Done()


def test_what_nobody_got_is_in_the_next_days_digest() -> None:
    desk = Desk()
    desk.hot("ada", "kim")
    desk.topic.refuses = lambda _: UndeliveredError("Throttling", final=False)
    desk.digest()
    desk.topic.refuses = lambda _: None
    assert desk.digest(EIGHT + timedelta(days=1)) == Done(sent=2)


def test_what_was_refused_for_good_is_not_tried_again() -> None:
    desk = Desk(
        mail=Outlet("mail", refuses=lambda _: UndeliveredError("MessageRejected", final=True), owners_alone=True)
    )
    desk.hot("ada", "kim")
    done = desk.digest()
    assert (done.sent, [str(one) for one in done.failed]) == (2, ["MessageRejected"])
    assert desk.digest(EIGHT + timedelta(minutes=15)) == Done()


def test_each_way_is_noted_by_itself() -> None:
    mail = Outlet("mail", owners_alone=True)
    desk = Desk(mail=mail)
    desk.hot("ada", "kim")
    mail.refuses = lambda _: UndeliveredError("Throttling", final=False)
    desk.digest()
    mail.refuses = lambda _: None
    desk.digest(EIGHT + timedelta(minutes=15))
    assert [digest.owner for digest in mail.sent] == ["kim"]
    assert [digest.owner for digest in desk.topic.sent] == [None, "kim"]


def test_of_two_runs_at_one_moment_one_gives_way() -> None:
    desk = Desk()
    desk.hot("ada")
    desk.rounds.stolen = True
    with pytest.raises(ConflictError):
        desk.digest()
    assert desk.topic.sent == []


def test_each_change_is_in_one_days_digest_whether_or_not_one_comes_that_day() -> None:
    desk = Desk()
    desk.office.now = EIGHT - timedelta(seconds=30)  # within what the first one leaves to the next
    desk.hot("ada")
    assert desk.digest(EIGHT) == Done()
    desk.digest(EIGHT + timedelta(days=1))
    desk.office.now = EIGHT + timedelta(days=5)  # a Saturday
    desk.hot("bob")
    assert desk.digest(EIGHT + timedelta(days=5)) == Done()
    desk.digest(EIGHT + timedelta(days=7))
    assert desk.topic.told == [(None, {"new_hot": ["ada"]}), (None, {"new_hot": ["bob"]})]


def test_a_hand_raiser_waits_for_a_week_or_until_somebody_says_something() -> None:
    desk = Desk()
    desk.raise_hand("ada")
    desk.raise_hand("bob")
    [alert] = [one for one in desk.office.desks.alerts.values() if one.entries[0].lead == pseudonym("user:bob")]
    desk.digest(EIGHT)
    told = Verdict("good", at=from_datetime(EIGHT + timedelta(hours=1)), by="link")
    desk.office.desks.put_verdict(alert.id, alert.entries[0].lead, told)
    desk.digest(EIGHT + timedelta(days=1))
    desk.digest(EIGHT + timedelta(days=8))
    assert desk.topic.told == [(None, {"waiting": ["ada", "bob"]}), (None, {"waiting": ["ada"]})]
    [lead] = desk.topic.sent[1].sections[0].leads
    assert (lead.event, lead.asked_at) == ("Demo Requested", "2026-03-02T05:00:00.000Z")


def test_who_raises_a_hand_again_after_a_verdict_waits_again() -> None:
    desk = Desk()
    desk.raise_hand("ada")
    [alert] = desk.office.desks.alerts.values()
    said = Verdict("snooze", at=from_datetime(desk.office.now), by="link")
    desk.office.desks.put_verdict(alert.id, alert.entries[0].lead, said)
    desk.office.now += timedelta(hours=1)
    ruleset = parse_ruleset({**RULES, **POLICY, "alerts": {**ALERTS, "cooldown": "1m"}})
    desk.office.ruleset = ruleset
    desk.office.send("ada", "again", event="Demo Requested")
    desk.digest()
    assert desk.topic.told == [(None, {"waiting": ["ada"]})]


def test_a_suppressed_hand_raise_waits_for_nobody() -> None:
    desk = Desk()
    desk.office.send("ada", "bought", event="Subscription Started")
    desk.raise_hand("ada")
    assert desk.digest() == Done()


def test_whose_lead_converted_or_is_internal_nobody_is_told_of_unless_the_policy_says_so() -> None:
    desk = Desk()
    desk.hot("ada")
    desk.office.send("ada", "bought", event="Subscription Started")
    assert desk.digest() == Done()
    current = desk.rounds.round
    assert current is not None
    all_told = parse_ruleset({**RULES, **POLICY, "alerts": {"tier": "hot", "suppress": {"converted": False}}})
    assert [listed(one) for one in compose(desk.tools(all_told), current)] == [{"new_hot": ["ada"]}]


def test_there_is_an_end_to_what_one_digest_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    for lead in ("ada", "bob", "eve"):
        desk.hot(lead, "kim")
    desk.raise_hand("bob")
    monkeypatch.setattr(digesting, "MOST_LEADS", 1)
    desk.digest()
    everybody, kim = desk.topic.sent
    assert (listed(everybody), everybody.unread, kim.unread) == ({"waiting": ["bob"]}, 2, 0)
