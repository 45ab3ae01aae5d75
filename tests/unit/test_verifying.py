"""What is stored against what the log says: every kind of damage is found, mended, and then not found any more."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from leadscore import parse_ruleset
from leadscore.core.identity import Identity, Ownership, pseudonym
from leadscore.core.instants import DAY, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import Moment
from leadscore.usecases.batches import Queues
from leadscore.usecases.rebuilding import Found, Rebuilt, Segment, rebuild_lead, rebuild_named, rebuild_segment
from leadscore.usecases.records import Event, LeadBody, StoredAccount, StoredIdentity
from leadscore.usecases.scoring import Tools, apply_events
from leadscore.usecases.verifying import READINGS, Difference, Verified, verify_lead
from tests.contract.memory_store import MemoryStore
from tests.contract.memory_table import MemoryTable
from tests.unit.test_score_batch import NOW, RULES, Queue, make_event

ADA, DEVICE, BOB, OTHER = "user:ada", "anonymous:device", "user:bob", "anonymous:other"
TRIAL = make_event("t1", "track", age_days=2, event="Trial Started")
TITLE = make_event("i1", "identify", age_days=3, traits={"title": "VP Sales", "email": "ada@acme.example"})
GROUP = make_event("g1", "group", age_days=3, groupId="acme", traits={"employees": 300})
VISIT = make_event("v1", "track", age_days=1.5, event="Trial Started", userId=None, anonymousId="device")
SIGN_UP = make_event("s1", "identify", age_days=3, anonymousId="device", traits={})
SECOND = make_event("s2", "identify", age_days=1, anonymousId="other", traits={})
GOAL = make_event("w1", "track", age_days=1, event="Subscription Started")
ADAS = (TRIAL, TITLE, GROUP, VISIT, SIGN_UP, SECOND, GOAL)
# Bob used the device after Ada had claimed it.
BOBS = (make_event("b1", "identify", "bob", age_days=1, anonymousId="device", traits={"title": "VP Ops"}),)


def no_pause(_attempt: int) -> None:
    pass


class World:
    """Ada and Bob as their events made them, and the tools to look at them and mend them."""

    def __init__(self, rules: Ruleset = RULES, events: Sequence[Event] = (*ADAS, *BOBS)) -> None:
        self.store = MemoryStore()
        self.table = MemoryTable(self.store)
        self.events, self.changes = Queue(), Queue()
        self.queues = Queues(events=self.events, changes=self.changes)
        self.now = NOW
        self.rules = rules
        for event in events:
            self.apply(event)
        for name in list(self.store.identities):
            self.store.clear_pending(name, [change.id for change in self.store.pending(name)])

    @property
    def tools(self) -> Tools:
        return Tools(self.store, self.rules, lambda: self.now, no_pause)

    def apply(self, event: Event) -> None:
        from leadscore.core.identity import identities

        apply_events(self.tools, {identities(event, self.rules.identity)[0]: [event]})

    def verify(self, identity: Identity = ADA) -> list[Difference]:
        verified = verify_lead(self.store, self.rules, identity, lambda: self.now, no_pause)
        assert verified is not None
        assert not verified.busy
        return list(verified.differences)

    def rebuild(self, identity: Identity = ADA) -> Rebuilt:
        rebuilt = rebuild_lead(self.tools, self.table, identity)
        assert rebuilt is not None
        return rebuilt

    def rebuild_all(self, segment: Segment | None = None, most: int = 5) -> tuple[Segment, list[Found]]:
        told: list[Found] = []
        segment = segment or Segment(0, 1)
        while not segment.done:
            work = rebuild_segment(self.tools, self.table, self.queues, segment, most)
            segment = work.segment
            told += work.found
        return segment, told

    def spoil(self, identity: Identity, **change: Any) -> None:
        self.store.identities[identity] = replace(self.store.identities[identity], **change)

    def spoil_body(self, **change: Any) -> None:
        self.spoil(ADA, body=replace(self.body(), **change))

    def spoil_state(self, change: Callable[[dict[str, Any]], object]) -> None:
        document = json.loads(self.body().state)
        change(document)
        self.spoil_body(state=json.dumps(document))

    def body(self, identity: Identity = ADA) -> LeadBody:
        body = self.store.identities[identity].body
        assert body is not None
        return body

    def content(self) -> dict[Identity, StoredIdentity]:
        """Return everything but what every write changes."""
        return {name: replace(one, version=0, pending=()) for name, one in self.store.identities.items()}


def paths(differences: Sequence[Difference]) -> set[tuple[str, str]]:
    return {(difference.kind, difference.path) for difference in differences}


def bogus(identity: Identity = BOB) -> Ownership:
    return Ownership(from_datetime(NOW) - 9 * DAY, "m0", identity)


Damage = Callable[[World], None]
DAMAGES: Mapping[str, tuple[Damage, set[tuple[str, str]]]] = {
    "a lost occurrence": (
        lambda w: w.spoil_state(lambda state: state["o"].pop("trial")),
        {("content", "state.kept.trial")},
    ),
    "an occurrence that never was": (
        lambda w: w.spoil_state(lambda state: state["o"].update(trial=[[from_datetime(NOW), "m9"]])),
        {("content", "state.kept.trial")},
    ),
    "a lost trait": (
        lambda w: w.spoil_state(lambda state: state["t"].pop("title")),
        {("content", "state.traits.title")},
    ),
    "another value": (
        lambda w: w.spoil_state(lambda state: state["t"]["title"].__setitem__(2, "Intern")),
        {("content", "state.traits.title")},
    ),
    "a trait by an event that is newer than the log's": (
        lambda w: w.spoil_state(lambda state: state["t"]["title"].__setitem__(0, from_datetime(NOW))),
        {("content", "state.traits.title")},
    ),
    "a trait of nobody": (
        lambda w: w.spoil_state(lambda state: state["t"].update(phone=[from_datetime(NOW), "m9", "1"])),
        {("content", "state.traits.phone")},
    ),
    "a lost account": (
        lambda w: w.spoil_state(lambda state: state.pop("a")),
        {("content", "state.account")},
    ),
    "a lost conversion": (lambda w: w.spoil_state(lambda state: state.pop("g")), {("content", "state.goal")}),
    "a hand that nobody raised": (
        lambda w: w.spoil_state(lambda state: state.update(h=[from_datetime(NOW), "m9", "Demo Requested"])),
        {("content", "state.raised")},
    ),
    "a state that is none": (lambda w: w.spoil_body(state="{"), {("content", "state")}),
    "a state of other patterns under this ruleset": (
        lambda w: w.spoil_state(lambda state: state.update(v="0" * 16)),
        {("content", "state")},
    ),
    "no body at all": (lambda w: w.spoil(ADA, body=None), {("content", "state")}),
    "another tier": (lambda w: w.spoil_body(tier="cold"), {("standing", "tier")}),
    "another due": (lambda w: w.spoil_body(due=from_datetime(NOW) + DAY), {("standing", "due")}),
    "no due": (lambda w: w.spoil_body(due=None), {("standing", "due")}),
    "a due that passed long ago": (lambda w: w.spoil_body(due=from_datetime(NOW) - DAY), {("overdue", "due")}),
    "a rank key below the score": (
        lambda w: w.spoil_body(rank_key=w.body().rank_key - 500),
        {("standing", "rank_key")},
    ),
    "another account in the item": (lambda w: w.spoil_body(account="beta"), {("standing", "account")}),
    "a membership that was not noted": (lambda w: w.spoil(ADA, memberships=()), {("standing", "memberships")}),
    "a lost claim": (
        lambda w: w.spoil(ADA, claimed={OTHER: w.store.identities[ADA].claimed[OTHER]}),
        {("claim", f"claimed.{DEVICE}"), ("content", "state.kept.trial")},
    ),
    "a claim later than the log's": (
        lambda w: w.spoil(
            ADA, claimed={**w.store.identities[ADA].claimed, OTHER: Moment(from_datetime(NOW), "m9")}
        ),
        {("claim", f"claimed.{OTHER}")},
    ),
    "a claim that nobody made": (
        lambda w: w.spoil(
            ADA, claimed={**w.store.identities[ADA].claimed, "anonymous:x": Moment(from_datetime(NOW), "m9")}
        ),
        {("claim", "claimed.anonymous:x")},
    ),
    "a claim by another event of that instant": (
        lambda w: w.spoil(
            ADA,
            claimed={
                **w.store.identities[ADA].claimed,
                OTHER: Moment(w.store.identities[ADA].claimed[OTHER].time, "a"),
            },
        ),
        {("claim", f"claimed.{OTHER}")},
    ),
    "a claim by an event that names nobody": (
        lambda w: w.spoil(
            ADA,
            claimed={**w.store.identities[ADA].claimed, "anonymous:x": w.store.identities[ADA].claimed[OTHER]},
        ),
        {("claim", "claimed.anonymous:x")},
    ),
    "a claim that was not met": (lambda w: w.spoil(OTHER, owner=None), {("owner", "owner")}),
    "an owner that came later": (
        lambda w: w.spoil(
            DEVICE, owner=Ownership(*w.store.identities[BOB].claimed[DEVICE], BOB), former=(ADA,)
        ),
        {("owner", "owner"), ("content", "state.kept.trial")},
    ),
    "an owner that never claimed": (
        lambda w: w.spoil(DEVICE, owner=bogus()),
        {("owner", "owner"), ("content", "state.kept.trial")},
    ),
    "an owner that is no stronger": (lambda w: w.spoil(ADA, owner=bogus()), {("owner", "owner")}),
    "a body beside an owner": (lambda w: w.spoil(DEVICE, body=w.body()), {("owner", "state")}),
    "a trait that the account lost": (
        lambda w: w.store.accounts.update(acme=StoredAccount("acme", 7, '{"t":{}}')),
        {("account", "account.acme.employees")},
    ),
}  # fmt: skip


def test_what_events_made_is_what_the_log_says() -> None:
    world = World()
    assert world.verify(ADA) == world.verify(DEVICE) == world.verify(BOB) == []
    assert verify_lead(world.store, RULES, DEVICE, lambda: NOW, no_pause) == Verified(ADA)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_mended_and_gone(name: str) -> None:
    damage, expected = DAMAGES[name]
    world = World()
    whole = world.content()
    damage(world)
    found = world.verify()
    # What follows from the damage, a tier or the place in the list, depends on the figures.
    follows = {("standing", path) for path in ("tier", "due", "rank_key", "account")}
    assert expected <= paths(found) <= expected | follows
    rebuilt = world.rebuild()
    assert list(rebuilt.found) == found
    assert rebuilt.left == ()
    assert world.verify(ADA) == world.verify(DEVICE) == world.verify(BOB) == world.verify(OTHER) == []
    assert standing(world.content()) == standing(whole)


def standing(content: Mapping[Identity, StoredIdentity]) -> dict[Identity, object]:
    """Return what the log decides: all but the alert policy's memory, who lost what, and how loose a bound is."""
    return {
        name: replace(
            one,
            former=(),
            body=None if one.body is None else replace(one.body, memory=NO_MEMORY, rank_key=0),
        )
        for name, one in content.items()
    }


NO_MEMORY: Any = None


@pytest.mark.parametrize("name", DAMAGES)
def test_a_rebuild_of_all_mends_as_well_and_tells_no_ids(name: str) -> None:
    damage, expected = DAMAGES[name]
    world = World()
    whole = world.content()
    damage(world)
    segment, told = world.rebuild_all()
    assert {each.kind for each in told} >= {kind for kind, _ in expected}
    assert not any(each.left for each in told)
    assert sum(segment.counts.values()) == len(told)
    shown = json.dumps([each.to_dict() for each in told])
    assert not any(name in shown for name in (ADA, BOB, DEVICE, OTHER, "VP"))
    assert standing(world.content()) == standing(whole)
    again, nothing = world.rebuild_all()
    assert (nothing, again.written) == ([], 0)


def test_one_thing_that_is_wrong_is_told_once() -> None:
    world = World()
    world.spoil(DEVICE, owner=Ownership(from_datetime(NOW), "zz", BOB))
    assert [each.path for each in world.verify() if each.kind == "owner"] == ["owner"]


def test_an_owner_of_the_same_strength_is_none_whatever_it_claims() -> None:
    world = World()
    claim = Moment(from_datetime(NOW), "m9")
    world.spoil(DEVICE, owner=Ownership(*claim, OTHER))
    world.spoil(OTHER, claimed={DEVICE: claim})
    assert ("owner", "owner") in paths(world.verify(DEVICE))
    world.rebuild_all()
    assert world.verify(ADA) == world.verify(DEVICE) == world.verify(OTHER) == []


def test_owners_in_a_circle_are_looked_at_and_parted() -> None:
    world = World(events=[TRIAL, *BOBS])
    world.spoil(ADA, owner=bogus(BOB))
    world.spoil(BOB, owner=bogus(ADA))
    load, most = world.store.load_identities, [200]

    def counted(wanted: Collection[Identity]) -> dict[Identity, StoredIdentity]:
        most[0] -= 1
        assert most[0], "it goes round and round"
        return load(wanted)

    world.store.load_identities = counted  # type: ignore[method-assign]
    assert ("owner", "owner") in paths(world.verify(ADA))
    world.rebuild(ADA)
    world.rebuild(BOB)
    assert world.verify(ADA) == world.verify(BOB) == []


def test_an_identity_that_nobody_claims_is_found_by_itself() -> None:
    world = World(events=[VISIT, TITLE])
    world.spoil(DEVICE, owner=bogus(ADA), body=None)
    assert world.verify(ADA) == []
    segment, told = world.rebuild_all()
    assert {each.kind for each in told} == {"owner"}
    assert (segment.leads, world.body(DEVICE).tier, world.verify(DEVICE)) == (2, "warm", [])


def test_an_identity_that_is_freed_becomes_a_lead_of_its_own() -> None:
    world = World(events=[VISIT, TITLE])
    world.spoil(ADA, claimed={DEVICE: Moment(from_datetime(NOW), "m9")})
    world.spoil(DEVICE, owner=Ownership(from_datetime(NOW), "m9", ADA), body=None)
    assert ("claim", f"claimed.{DEVICE}") in paths(world.verify(ADA))
    world.rebuild(ADA)
    assert world.body(DEVICE).tier == "warm"
    assert world.verify(ADA) == world.verify(DEVICE) == []


def test_whose_claim_was_lost_from_its_item_is_still_the_owner_to_others() -> None:
    world = World()
    world.spoil(ADA, claimed={})
    assert world.verify(BOB) == []


def test_an_erased_identity_is_not_missed() -> None:
    world = World()
    world.store.identities[OTHER] = StoredIdentity(OTHER, 9, erased=True)
    assert world.verify() == []


def test_a_claim_from_before_the_log_is_kept_although_it_was_not_met() -> None:
    world = World()
    for log in world.store.log.values():
        log.clear()
    world.now = NOW + timedelta(days=401)
    world.spoil(DEVICE, owner=None)
    claimed = world.store.identities[ADA].claimed
    rebuilt = world.rebuild()
    assert {difference.kind for difference in rebuilt.left} == {"owner"}
    assert world.store.identities[ADA].claimed == claimed


def test_every_lead_is_looked_at_once() -> None:
    assert World().rebuild_all()[0].leads == 2


def test_a_late_pending_change_is_found_and_handed_on() -> None:
    world = World(events=[])
    world.apply(TRIAL)
    [change] = world.store.pending(ADA)
    assert world.verify() == []
    world.now += timedelta(minutes=16)
    assert paths(world.verify()) == {("pending", f"pending.{change.id}")}
    world.rebuild_all()
    assert [json.loads(body) for body in world.changes.bodies] == [{"lead": ADA}]


def test_pending_changes_are_handed_on_though_nothing_differs() -> None:
    """Who died between a commit and the queue left no other trace."""
    world = World(events=[])
    world.apply(TRIAL)
    world.rebuild_all()
    assert [json.loads(body) for body in world.changes.bodies] == [{"lead": ADA}]


def test_an_account_that_is_told_of_lost_traits_tells_its_leads() -> None:
    world = World()
    world.store.accounts["acme"] = StoredAccount("acme", 7, '{"t":{}}')
    world.rebuild_all()
    assert json.loads(world.events.bodies[0]) == {"account": "acme", "after": ""}


def test_an_event_that_was_logged_and_never_applied_is_applied() -> None:
    world = World()
    late = make_event("t9", "track", event="Trial Started")
    world.store.put_events(ADA, [late])
    assert ("content", "state.kept.trial") in paths(world.verify())
    world.rebuild()
    assert world.verify() == []
    assert json.loads(world.body().state)["o"]["trial"][-1][1] == "t9"


def test_a_lead_that_has_a_log_and_no_item_is_made() -> None:
    world = World(events=[])
    world.store.put_events(ADA, [TRIAL])
    _, told = world.rebuild_all()
    assert [(each.kind, each.path) for each in told] == [("content", "state")]
    assert world.body().tier == "warm"


def test_a_lead_whose_events_all_match_nothing_is_no_difference() -> None:
    world = World(events=[make_event("m1", "track", event="Nothing")])
    assert world.verify() == []
    segment, told = world.rebuild_all()
    assert (segment.leads, segment.written, told) == (1, 0, [])


def test_repeating_what_is_known_is_no_difference() -> None:
    world = World(events=[TITLE, make_event("i2", "identify", age_days=1, traits={"title": "VP Sales"})])
    assert json.loads(world.body().state)["t"]["title"][1] == "i1"
    assert world.verify() == []


def test_what_is_older_than_the_log_is_believed() -> None:
    world = World()
    for log in world.store.log.values():
        log.clear()
    world.now = NOW + timedelta(days=401)
    world.rules = RULES
    assert {difference.kind for difference in world.verify()} <= {"overdue"}
    world.rebuild()
    assert world.verify() == []
    assert world.body().account == "acme"
    assert world.store.identities[DEVICE].owner is not None


def test_a_lead_under_another_ruleset_is_outdated_and_no_error() -> None:
    world = World()
    document = json.loads(RULES.document)
    document["criteria"][2]["points"] = 60
    world.rules = parse_ruleset(document)
    [difference] = world.verify()
    assert (difference.kind, difference.is_error) == ("outdated", False)
    assert (difference.stored, difference.expected) == (RULES.version, world.rules.version)
    segment, told = world.rebuild_all()
    assert (told, segment.counts, segment.written) == ([], {"outdated": 2}, 2)
    assert (world.body().ruleset, world.verify(), world.verify(BOB)) == (world.rules.version, [], [])
    changes = [*world.store.pending(ADA), *world.store.pending(BOB)]
    assert {(change.cause, change.alert) for change in changes} <= {("ruleset", "suppressed"), ("ruleset", "none")}


@pytest.mark.parametrize("outdated_only", [True, False])
def test_a_new_pattern_is_replayed_and_told_without_an_alert(outdated_only: bool) -> None:
    world = World()
    document = json.loads(RULES.document)
    document["criteria"].append(
        {"id": "won", "group": "product", "event": {"event": ["Subscription Started"]}, "points": 100}
    )
    document["tiers"][0]["from"] = 90
    world.rules = parse_ruleset(document)
    segment, told = world.rebuild_all(Segment(0, 1, outdated_only=outdated_only))
    assert (told, segment.counts) == ([], {"outdated": 2})
    assert list(json.loads(world.body().state)["o"]) == ["trial", "won"]
    assert world.verify() == []
    again, _ = world.rebuild_all(Segment(0, 1, outdated_only=outdated_only))
    assert again.written == 0


def test_content_is_compared_under_another_ruleset_where_that_can_be() -> None:
    world = World()
    world.spoil_state(lambda state: state["o"].pop("trial"))
    document = json.loads(RULES.document)
    document["criteria"][2]["points"] = 60
    world.rules = parse_ruleset(document)
    assert paths(world.verify()) == {("content", "state.kept.trial"), ("outdated", "ruleset")}
    world.rebuild()
    assert world.verify() == []


def with_identity(**identity: object) -> Ruleset:
    return parse_ruleset(json.loads(RULES.document) | {"identity": identity})


VISITOR_MAIL = make_event("n1", "identify", age_days=2, userId=None, anonymousId="device", traits={"email": "a@b.c"})
VISITOR_TRIAL = make_event("n2", "track", age_days=1, userId=None, anonymousId="device", event="Trial Started")
USER_MAIL = make_event("n3", "identify", age_days=1, traits={"email": "a@b.c", "title": "VP Sales"})


def test_a_kind_that_was_turned_on_joins_by_a_rebuild_as_if_it_had_been_on() -> None:
    events = [VISITOR_MAIL, VISITOR_TRIAL, USER_MAIL]
    on = with_identity(email=True)
    world, expected = World(events=events), World(on, events)
    world.rules = on
    assert not any(difference.is_error for name in (ADA, DEVICE) for difference in world.verify(name))
    assert {difference.kind for name in (ADA, DEVICE) for difference in world.verify(name)} == {"outdated", "unjoined"}
    world.rebuild_all()
    world.rebuild_all()
    assert standing(world.content()) == standing(expected.content())
    assert {name: set(log) for name, log in world.store.log.items() if log} == {
        name: set(log) for name, log in expected.store.log.items()
    }
    assert all(world.verify(name) == [] for name in world.store.identities)


def test_a_kind_that_was_turned_off_leaves_joined_what_was_joined() -> None:
    world = World(with_identity(email=True), [VISITOR_MAIL, VISITOR_TRIAL, USER_MAIL])
    owners = {name: one.owner for name, one in world.store.identities.items()}
    world.rules = RULES
    assert paths(world.verify(ADA)) == {("outdated", "ruleset")}
    world.rebuild_all()
    assert {name: one.owner for name, one in world.store.identities.items()} == owners
    assert all(world.verify(name) == [] for name in owners)


def test_a_wrong_claim_of_a_kind_that_can_be_turned_on_is_an_error() -> None:
    world = World(with_identity(email=True), [USER_MAIL])
    claimed = world.store.identities[ADA].claimed["email:a@b.c"]
    world.spoil(ADA, claimed={"email:a@b.c": Moment(claimed.time + 1, claimed.event)})
    assert {difference.kind for difference in world.verify()} == {"claim"}
    world.spoil(ADA, claimed={})
    assert {difference.kind for difference in world.verify()} == {"unjoined"}


def test_what_an_event_claims_for_another_by_now_is_not_put_to_whom_it_was_about() -> None:
    event = make_event(
        "x1",
        "identify",
        age_days=1,
        userId=None,
        anonymousId="device",
        traits={"email": "a@b.c", "title": "VP Sales"},
        context={"externalIds": [{"type": "crm", "id": "7"}]},
    )
    world = World(with_identity(email=True, external=["crm"]), [event])
    root, whole = "external:crm:7", world.content()
    world.rules = with_identity(email=True)
    world.spoil(root, body=replace(world.body(root), state="{"))
    world.spoil(root, claimed={})
    world.rebuild(root)
    assert {name: one.owner for name, one in world.store.identities.items()} == {
        name: one.owner for name, one in whole.items()
    }


def test_an_event_in_the_wrong_log_is_moved() -> None:
    world = World()
    world.store.log[BOB]["t5"] = make_event("t5", "track", event="Trial Started")
    assert ("log", "log.t5") in paths(world.verify(BOB))
    world.rebuild_all()
    assert "t5" not in world.store.log[BOB]
    assert "t5" in world.store.log[ADA]
    assert world.verify(ADA) == world.verify(BOB) == []


class Busy(MemoryStore):
    """A store in which somebody applies the next event right before a log is read."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[Callable[[], None]] = []

    def load_events(self, identity: Identity, *, identify_only: bool = False) -> list[Event]:
        if self.acts:
            self.acts.pop(0)()
        return super().load_events(identity, identify_only=identify_only)


def busy_world(writes: int) -> World:
    world, store = World(events=[]), Busy()
    world.store, world.table = store, MemoryTable(store)
    world.apply(TITLE)
    for number in range(writes):
        event = make_event(f"t{number}", "track", age_days=2 - number / 10, event="Trial Started")

        def act(event: Event = event) -> None:
            waiting, store.acts = store.acts, []
            world.apply(event)
            store.acts = waiting

        store.acts.append(act)
    return world


def test_a_lead_that_is_written_meanwhile_is_read_again() -> None:
    world = busy_world(1)
    assert world.verify() == []
    assert "trial" in json.loads(world.body().state)["o"]


def test_a_lead_that_is_written_all_the_time_is_busy_and_not_wrong() -> None:
    world = busy_world(READINGS)
    verified = verify_lead(world.store, RULES, ADA, lambda: NOW, no_pause)
    assert verified == Verified(ADA, busy=True)


def test_a_difference_that_is_there_while_the_lead_is_written_is_not_told() -> None:
    world = busy_world(0)
    world.spoil_body(tier="hot")
    store = world.store
    assert isinstance(store, Busy)
    store.acts += [lambda: world.spoil(ADA, version=store.identities[ADA].version + 1)] * READINGS
    verified = verify_lead(store, RULES, ADA, lambda: NOW, no_pause)
    assert verified == Verified(ADA, busy=True)
    assert paths(world.verify()) == {("standing", "tier")}


def test_an_erased_lead_is_not_looked_at() -> None:
    world = World()
    world.store.identities[ADA] = StoredIdentity(ADA, 9, erased=True)
    assert verify_lead(world.store, RULES, DEVICE, lambda: NOW, no_pause) is None
    assert rebuild_lead(world.tools, world.table, ADA) is None
    assert rebuild_named(world.tools, world.table, world.queues, "ada") is None


def test_a_rebuild_by_name_takes_any_id_and_hands_on() -> None:
    world = World()
    world.spoil_body(tier="cold")
    rebuilt = rebuild_named(world.tools, world.table, world.queues, "device")
    assert rebuilt is not None
    assert paths(rebuilt.found) == {("standing", "tier")}
    assert [json.loads(body) for body in world.changes.bodies] == [{"lead": ADA}]
    assert rebuild_named(world.tools, world.table, world.queues, "nobody") is None


def test_a_lead_that_fails_is_counted_and_does_not_stop_the_others() -> None:
    world = World()
    world.spoil_body(tier="cold")
    world.spoil(BOB, claimed={"nonsense": Moment(from_datetime(NOW), "m")})
    segment, told = world.rebuild_all()
    failed = [each for each in told if each.kind == "failed"]
    assert [(each.lead, each.stored) for each in failed] == [(pseudonym(BOB), "ValueError")]
    assert segment.counts == {"standing": 1, "failed": 1}
    assert world.verify() == []


def test_a_segment_begins_anew_under_another_ruleset() -> None:
    world = World()
    segment = rebuild_segment(world.tools, world.table, world.queues, Segment(0, 1), 2).segment
    assert (segment.done, segment.ruleset) == (False, RULES.version)
    document = json.loads(RULES.document)
    document["criteria"][2]["points"] = 60
    world.rules = parse_ruleset(document)
    segment, _ = world.rebuild_all(segment)
    assert world.body().ruleset == world.body(BOB).ruleset == world.rules.version
    of_accounts = len(world.store.accounts) + sum(map(len, world.store.members.values()))
    assert segment.items == sum(map(len, world.store.log.values())) + len(world.store.identities) + of_accounts


def test_a_segment_survives_its_json() -> None:
    segment = Segment(1, 4, after="x", ruleset="abc", counts={"standing": 2}, leads=3)
    assert Segment.from_dict(json.loads(json.dumps(segment.to_dict()))) == segment
    with pytest.raises(TypeError):
        Segment.from_dict({"segment": 1, "segments": 2, "colour": "red"})


def test_differences_show_no_value_of_a_trait() -> None:
    world = World()
    world.spoil_state(lambda state: state["t"]["title"].__setitem__(2, "Intern"))
    [difference] = [each for each in world.verify() if each.kind == "content"]
    assert not any(value in repr(difference) for value in ("Intern", "VP Sales", "acme.example"))
    assert difference.stored != difference.expected
