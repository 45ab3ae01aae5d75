"""The use cases' store in memory, held to the same contract tests as the DynamoDB adapter."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity, pseudonym
from leadscore.core.instants import DAY, Millis, format_instant
from leadscore.quarantine import Reason
from leadscore.usecases.records import (
    ConflictError,
    Event,
    Grave,
    Logged,
    Quarantined,
    Ranked,
    StoredAccount,
    StoredIdentity,
    StoredRating,
)


class MemoryStore:
    """Identities, accounts and the log as dictionaries; a commit happens whole or not at all."""

    def __init__(self, retention_days: int = 400) -> None:
        self.identities: dict[Identity, StoredIdentity] = {}
        self.accounts: dict[str, StoredAccount] = {}
        self.ratings: dict[str, StoredRating] = {}
        self.members: dict[str, set[Identity]] = {}
        self.noted: dict[str, set[str]] = {}
        self.log: dict[Identity, dict[str, Event]] = {}
        self.graves: dict[str, Grave] = {}
        self.quarantined: dict[Identity, dict[str, Quarantined]] = {}
        self.marks: dict[Identity, tuple[Reason, Millis]] = {}
        self.tallies: dict[tuple[Identity, str], tuple[set[str], Millis]] = {}
        self.forgotten_records: set[str] = set()
        self.retention: Millis = retention_days * DAY

    def load_identities(self, wanted: Collection[Identity]) -> dict[Identity, StoredIdentity]:
        return {identity: self.identities.get(identity, StoredIdentity(identity)) for identity in wanted}

    def load_accounts(self, accounts: Collection[str]) -> dict[str, StoredAccount]:
        return {name: self.accounts.get(name, StoredAccount(name)) for name in accounts}

    def load_events(self, identity: Identity, *, identify_only: bool = False) -> list[Event]:
        events = self.log.get(identity, {}).values()
        return [event for event in events if not identify_only or event["type"] == "identify"]

    def load_quarantined(self, identity: Identity) -> list[Quarantined]:
        return list(self.quarantined.get(identity, {}).values())

    def walk_ranking(self) -> Iterator[Ranked]:
        entries = [
            Ranked(one.body.rank_key, one.identity, one.body.tier, one.body.due, one.body.ruleset)
            for one in self.identities.values()
            if one.body is not None
        ]
        yield from sorted(entries, key=lambda entry: (-entry.rank_key, entry.identity))

    def walk_ranking_below(self, key: int | None, after: Identity = "") -> Iterator[Ranked]:
        behind = None if key is None else (-key, after)
        yield from (
            entry for entry in self.walk_ranking() if behind is None or (-entry.rank_key, entry.identity) > behind
        )

    def walk_due(self, until: Millis, after: str = "") -> Iterator[tuple[str, Identity]]:
        bodies = [(one.identity, one.body) for one in self.identities.values() if one.body is not None]
        due = [(body.due, identity) for identity, body in bodies if body.due is not None]
        marks = [(f"{format_instant(at)}#{identity}", identity) for at, identity in due if at <= until]
        yield from (entry for entry in sorted(marks) if entry[0] > after)

    def load_ratings(self, accounts: Collection[str]) -> dict[str, StoredRating]:
        return {name: self.ratings.get(name, StoredRating(name)) for name in accounts}

    def walk_people(self, account: str) -> Iterator[tuple[int, Identity]]:
        bodies = [(one.identity, one.body) for one in self.identities.values() if one.body is not None]
        people = [(body.rank_key, identity) for identity, body in bodies if body.account == account]
        yield from sorted(people, key=lambda entry: (-entry[0], entry[1]))

    def walk_account_ranking(self) -> Iterator[tuple[int, str]]:
        keys = [(one.rank_key, one.account) for one in self.ratings.values() if one.rank_key is not None]
        yield from sorted(keys, key=lambda entry: (-entry[0], entry[1]))

    def walk_due_accounts(self, until: Millis) -> Iterator[str]:
        due = [(one.due, one.account) for one in self.ratings.values() if one.due is not None]
        yield from [account for at, account in sorted(due) if at <= until]

    def walk_members(self, account: str, after: str = "") -> Iterator[tuple[str, Identity]]:
        yield from ((name, name) for name in sorted(self.members.get(account, ())) if name > after)

    def put_events(self, identity: Identity, events: Sequence[Event]) -> Logged:
        held = self.log.setdefault(identity, {})
        distinct = {str(event["messageId"]): event for event in reversed(events)}
        known = frozenset(name for name in distinct if name in held)
        for name, event in distinct.items():
            held.setdefault(name, event)
        return Logged([held[name] for name in distinct], known)

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        before = self.load_identities([one.identity for one in written])
        if any(one.version != before[one.identity].version + 1 for one in written):
            raise ConflictError("an identity was written since it was read")
        for one in written:
            pending = (*before[one.identity].pending, *one.pending)
            self.identities[one.identity] = replace(one, pending=pending)

    def save_account(self, account: StoredAccount) -> None:
        if account.version != self.load_accounts([account.account])[account.account].version + 1:
            raise ConflictError("an account was written since it was read")
        self.accounts[account.account] = account

    def save_rating(self, rating: StoredRating) -> None:
        before = self.load_ratings([rating.account])[rating.account]
        if rating.version != before.version + 1:
            raise ConflictError("a rating was written since it was read")
        self.ratings[rating.account] = replace(rating, pending=(*before.pending, *rating.pending))

    def add_member(self, account: str, identity: Identity) -> None:
        self.noted.setdefault(pseudonym(identity), set()).add(account)
        self.members.setdefault(account, set()).add(identity)

    def pending(self, identity: Identity) -> tuple[Change, ...]:
        return self.load_identities([identity])[identity].pending

    def clear_pending(self, identity: Identity, ids: Sequence[str]) -> None:
        stored = self.load_identities([identity])[identity]
        if stored.version:
            kept = tuple(change for change in stored.pending if change.id not in ids)
            self.identities[identity] = replace(stored, pending=kept)

    def pending_of_account(self, account: str) -> tuple[AccountChange, ...]:
        return self.load_ratings([account])[account].pending

    def clear_pending_of_account(self, account: str, ids: Sequence[str]) -> None:
        stored = self.load_ratings([account])[account]
        if stored.version:
            kept = tuple(change for change in stored.pending if change.id not in ids)
            self.ratings[account] = replace(stored, pending=kept)

    def look_up(self, name: str) -> StoredIdentity | Grave | None:
        return self.graves.get(name) or self.identities.get(self._named(name))

    def bury(self, written: Sequence[StoredIdentity], grave: Grave) -> None:
        before = self.load_identities([one.identity for one in written])
        if any(one.version != before[one.identity].version + 1 for one in written):
            raise ConflictError("an identity was written since it was read")
        for one in written:
            if one.erased:
                self.graves[pseudonym(one.identity)] = grave
                self.identities[one.identity] = StoredIdentity(one.identity, one.version, erased=True)
            else:
                held = before[one.identity]
                self.identities[one.identity] = replace(held, version=one.version, former=one.former)

    def walk_log(self, name: str) -> Iterator[str]:
        yield from list(self.log.get(self._named(name), {}))

    def remove_events(self, name: str, keys: Sequence[str]) -> None:
        for key in keys:
            self.log.get(self._named(name), {}).pop(key, None)
            self.quarantined.get(self._named(name), {}).pop(key.removeprefix("quarantined "), None)

    def walk_quarantined(self, name: str) -> Iterator[str]:
        yield from [f"quarantined {message}" for message in self.quarantined.get(self._named(name), {})]

    def remove_records(self, name: str, _names: Collection[str]) -> None:
        self.forgotten_records.add(name)

    def remove_marks(self, name: str) -> None:
        self.marks.pop(self._named(name), None)
        self.tallies = {key: told for key, told in self.tallies.items() if pseudonym(key[0]) != name}

    def walk_memberships(self, name: str) -> Iterator[str]:
        yield from sorted(self.noted.get(name, ()))

    def remove_memberships(self, name: str, accounts: Sequence[str]) -> None:
        for account in accounts:
            members = self.members.get(account, set())
            members -= {identity for identity in members if pseudonym(identity) == name}
            self.noted.get(name, set()).discard(account)

    def find_logged(self, events: Sequence[tuple[Identity, Event]]) -> frozenset[str]:
        return frozenset(
            str(event["messageId"]) for name, event in events if event["messageId"] in self.log.get(name, {})
        )

    def find_held(self, identities: Collection[Identity]) -> dict[Identity, Reason]:
        return {name: self.marks[name][0] for name in identities if name in self.marks}

    def hold(self, identities: Collection[Identity], reason: Reason, at: Millis) -> None:
        self.marks |= dict.fromkeys(identities, (reason, at))

    def tally(self, identity: Identity, window: str, messages: Collection[str], most: int, at: Millis) -> int:
        told, _ = self.tallies.setdefault((identity, window), (set(), at))
        told.update(messages)
        return min(len(told), most)

    def keep(self, quarantined: Sequence[Quarantined]) -> frozenset[str]:
        new = set()
        for each in quarantined:
            kept = self.quarantined.setdefault(each.identity, {})
            message = str(each.event["messageId"])
            if message not in kept:
                kept[message] = each
                new.add(message)
        return frozenset(new)

    def release(self, quarantined: Sequence[Quarantined], identities: Collection[Identity]) -> None:
        for name in identities:
            self.marks.pop(name, None)
        for each in quarantined:
            self.quarantined.get(each.identity, {}).pop(str(each.event["messageId"]), None)

    def _named(self, name: str) -> Identity:
        """Return the identity of a pseudonym, nothing where there is none."""
        known = {*self.identities, *self.log, *self.quarantined, *self.marks}
        return next((identity for identity in known if pseudonym(identity) == name), "")
