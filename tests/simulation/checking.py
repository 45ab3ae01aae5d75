"""What must be true of a world when it has settled, worked out from the set of its events alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leadscore import Ruleset, State, advance, score_state
from leadscore.core.decay import to_points
from leadscore.core.identity import identities, strength
from leadscore.core.instants import from_datetime
from leadscore.core.state import AccountState, advance_account, says_the_same
from leadscore.usecases.account_people import read_standing
from leadscore.usecases.deciding import highest_score, rank_key
from leadscore.usecases.rating import LONGEST_UNRATED
from leadscore.usecases.records import StoredIdentity
from tests.simulation.world import START, World

Event = Mapping[str, object]


@dataclass(frozen=True)
class Truth:
    """The leads that a set of events makes: root to members, and each member's events."""

    owners: dict[str, str]
    logs: dict[str, list[Event]]

    def root(self, identity: str) -> str:
        while identity in self.owners:
            identity = self.owners[identity]
        return identity

    def leads(self) -> dict[str, list[Event]]:
        leads: dict[str, list[Event]] = {}
        for identity, events in self.logs.items():
            leads.setdefault(self.root(identity), []).extend(events)
        return leads


def find_truth(ruleset: Ruleset, events: Sequence[Event]) -> Truth:
    """Return whose events these are: each identity belongs to its first claimant."""
    claims: dict[str, tuple[str, str, str]] = {}
    logs: dict[str, dict[str, Event]] = {}
    for event in events:
        first, *others = identities(event, ruleset.identity)
        logs.setdefault(first, {})[str(event["messageId"])] = event
        for other in others:
            if strength(other) < strength(first):
                claim = (str(event["timestamp"]), str(event["messageId"]), first)
                claims[other] = min(claim, claims.get(other, claim))
    return Truth(
        {name: owner for name, (_, _, owner) in claims.items()},
        {name: list(log.values()) for name, log in logs.items()},
    )


def find_faults(world: World, events: Sequence[Event]) -> list[str]:
    """Return everything that is wrong with a settled world."""
    truth = find_truth(world.ruleset, events)
    held = world.store.held
    faults = [
        f"{name} belongs to {_owner(held.identities.get(name))}, not {owner}"
        for name, owner in truth.owners.items()
        if _owner(held.identities.get(name)) != owner
    ]
    for name, log in truth.logs.items():
        if {str(e["messageId"]) for e in log} != set(held.log.get(name, {})):
            faults.append(f"the log of {name} is not what was accepted")
    leads = truth.leads()
    for root, log in leads.items():
        faults += _lead_faults(world, events, root, log)
    faults += [f"{name} has a body" for name in truth.owners if _body(held.identities.get(name)) is not None]
    faults += [f"{name} has changes to announce" for name, one in held.identities.items() if one.pending]
    faults += find_account_faults(world)
    committed = {*world.store.committed, *world.store.rated}
    if set(world.machines.ids) != committed:
        faults.append(f"announced {len(set(world.machines.ids))} changes of {len(committed)}")
    alerts = {name for name, (_, _, change) in world.store.committed.items() if change.alert == "wanted"}
    alerts |= {name for name, (_, change) in world.store.rated.items() if change.alert == "wanted"}
    if set(world.people.ids) != alerts:
        faults.append(f"alerted {len(set(world.people.ids))} times of {len(alerts)}")
    return faults


def _lead_faults(world: World, events: Sequence[Event], root: str, log: Sequence[Event]) -> list[str]:
    rules = world.ruleset
    state = advance(State.empty(rules), log)
    stored = world.store.held.identities.get(root)
    body = _body(stored)
    if says_the_same(state, State.empty(rules)):
        empty = body is None or says_the_same(state, State.from_json(rules, body.state))
        return [] if empty else [f"{root} has a state without events that matter"]
    if stored is None or body is None:
        return [f"{root} was never written"]
    if not says_the_same(State.from_json(rules, body.state), state):
        return [f"{root} is {body.state}, not {state.to_json()}"]
    of_account = [e for e in events if e["type"] == "group" and e.get("groupId") == state.account]
    account = advance_account(AccountState.empty(rules), of_account)
    score = score_state(state, world.now, account)
    due = score.next_change_at
    faults = []
    if (body.tier, body.account) != (score.tier, state.account):
        faults.append(f"{root} is {body.tier} in {body.account}, not {score.tier} in {state.account}")
    if body.rank_key < rank_key(score.ceiling):
        faults.append(f"{root} has a rank key below its score")
    if (body.due is None) != (due is None):
        faults.append(f"{root} is due at {body.due}, not {due}")
    return faults + _chain_faults(world, root, body.tier)


def _chain_faults(world: World, root: str, tier: str) -> list[str]:
    """The tier changes of a lead, in the order of its commits, lead from the lowest tier to the present one."""
    steps = [
        (version, change)
        for identity, version, change in world.store.committed.values()
        if identity == root and change.kind == "tier"
    ]
    # Of one commit the silent step comes first.
    steps.sort(key=lambda step: (step[0], step[1].cause in {"events", "identity"}))
    at = world.ruleset.tiers[-1].name
    for _, change in steps:
        if change.previous_tier != at:
            return [f"{root} went from {change.previous_tier} where it was {at}"]
        at = change.tier
    return [] if at == tier else [f"{root} is {tier}, the last announced is {at}"]


def find_account_faults(world: World) -> list[str]:
    """Return what is wrong with the ratings of a settled world, its leads being right."""
    held = world.store.held
    bodies = [one.body for one in held.identities.values() if one.body is not None]
    names = sorted({body.account for body in bodies if body.account is not None} | held.ratings.keys())
    return [fault for name in names for fault in _account_faults(world, name)]


def _account_faults(world: World, name: str) -> list[str]:
    held, rules = world.store.held, world.ruleset
    rating = held.load_ratings([name])[name]
    people = {one.identity for one in held.identities.values() if one.body is not None and one.body.account == name}
    now = from_datetime(world.now)
    last, step = world.store.looked.get(name, (START, 0))
    # Time alone may have changed it since somebody looked, but for no longer than a day.
    standing = read_standing(held, rules, name, from_datetime(last), "people")
    by_now = read_standing(held, rules, name, now, "people")
    ceiling = None if rating.rank_key is None else highest_score(rating.rank_key)
    wrong = {
        f"has {len(people)} people, {rating.people} by its rating": rating.people != len(people),
        f"is of {people} by the index": {person.identity for person in standing.people} != people,
        f"is {rating.tier}, not {standing.tier} as of {last}": rating.tier != standing.tier,
        "is in another tier for more than a day": now - from_datetime(last) > LONGEST_UNRATED
        and rating.tier != by_now.tier,
        f"is ranked by {ceiling}": (ceiling is not None) != bool(people),
        "is ranked below its score": ceiling is not None and ceiling < to_points(standing.ceiling),
        f"is due at {rating.due}": rating.tier != rules.tiers[-1].name and (rating.due is None or rating.due <= now),
        "was not looked at since one of its people moved": step <= world.store.moved.get(name, 0),
        "has changes to announce": bool(rating.pending),
    }
    return [f"{name} {what}" for what, is_so in wrong.items() if is_so] + _account_chain_faults(world, name)


def _account_chain_faults(world: World, name: str) -> list[str]:
    steps = [step for step in world.store.rated.values() if step[1].account == name]
    at = world.ruleset.tiers[-1].name
    for _, change in sorted(steps, key=lambda step: step[0]):
        if change.previous_tier != at:
            return [f"{name} went from {change.previous_tier} where it was {at}"]
        at = change.tier
    tier = world.store.held.ratings[name].tier if name in world.store.held.ratings else at
    return [] if at == tier else [f"{name} is {tier}, the last announced is {at}"]


def _owner(stored: StoredIdentity | None) -> str | None:
    return None if stored is None or stored.owner is None else stored.owner.owner


def _body(stored: StoredIdentity | None):  # type: ignore[no-untyped-def]
    return None if stored is None else stored.body
