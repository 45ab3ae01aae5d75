"""The items of the one table: their keys, and how the stored values are written into them and read back.

    pk               sk                         what
    ID#<hash>        ID                         an identity; a lead's root carries the keys of the two indexes
    ID#<hash>        EVENT#<messageId>          one event of the log, with a time to live
    ID#<hash>        EVENT:identify#<messageId> the same for `identify`, so that what sets traits is found alone
    ACCOUNT#<id>     ACCOUNT                    an account's traits
    ACCOUNT#<id>     RATING                     how it stands by its people; carries the keys of ranking and due
    ACCOUNT#<id>     MEMBER#<hash>              a lead that belongs or once belonged to the account
    IN#<hash>        <account id>               that there is or may be such a note, so that it is found from the lead

    index    partition          sort key
    ranking  shard of identity  upper bound of the score, falling, then the identity
    due      shard of identity  next change of tier by time alone, then the identity; absent where there is none
    people   account of a lead  its key in ranking; absent where it has no account

Accounts are in ranking and due too, in shards of their own.

An identity's hash in the key is its pseudonym, so that nothing else must remain of an erased one: its item then has a
version, when it was erased and until when that is kept. A message id is the rest of an event's sort key: a retried
event may carry another time, and must still collide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from zlib import crc32

from leadscore.core.alerting import AlertMemory
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity, Ownership, pseudonym
from leadscore.core.instants import Millis, format_instant, parse_instant
from leadscore.core.state import Moment
from leadscore.usecases.records import (
    Event,
    Grave,
    LeadBody,
    Ranked,
    StoredAccount,
    StoredIdentity,
    StoredRating,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = dict[str, AttributeValueTypeDef]

RANKING_INDEX, DUE_INDEX, PEOPLE_INDEX, JOURNAL_INDEX = "ranking", "due", "people", "journal"
EVENT_PREFIX, IDENTIFY_PREFIX, MEMBER_PREFIX, CHANGE_PREFIX = "EVENT", "EVENT:identify#", "MEMBER#", "CHANGE#"
IDENTITY_KEY = "ID"
# An attribute of an alert for each lead, so that verdicts on several are written without reading the record.
VERDICT_PREFIX = "verdict_"
# Rank keys are stored as what is left to this, so that reading forwards gives the highest first, and of equal keys
# the smaller identity.
_RANK_TOP = 10**12 - 1
# The attributes that `read_ranked` reads.
RANKED_ATTRIBUTES = ("rank_key", "tier", "due_key", "ruleset")
# The attributes that a rating with people has and one without has not.
PLACE_ATTRIBUTES = ("rank_pk", "rank_key", "due_pk", "due_key")
# The attributes that a lead's root has and any other identity has not.
BODY_ATTRIBUTES = (
    "state", "ruleset", "tier", "memory", "account", "announced", "rank_pk", "rank_key", "due_pk", "due_key",
)  # fmt: skip


def partition_of(identity: Identity) -> str:
    """Return the partition key of everything that is one identity's."""
    return partition_named(pseudonym(identity))


def partition_named(name: str) -> str:
    """Return the partition key of everything that is the identity's whose pseudonym is `name`."""
    return f"ID#{name}"


def identity_key(identity: Identity) -> Item:
    """Return the key of an identity's own item."""
    return key_named(pseudonym(identity))


def key_named(name: str) -> Item:
    """Return the key of the item of the identity whose pseudonym is `name`."""
    return {"pk": {"S": partition_named(name)}, "sk": {"S": IDENTITY_KEY}}


def account_key(account: str) -> Item:
    """Return the key of an account's own item."""
    return {"pk": {"S": f"ACCOUNT#{account}"}, "sk": {"S": "ACCOUNT"}}


def rating_key(account: str) -> Item:
    """Return the key of an account's rating."""
    return {"pk": {"S": f"ACCOUNT#{account}"}, "sk": {"S": "RATING"}}


def member_key(account: str, identity: Identity) -> Item:
    """Return the key of the note that a lead belongs to an account."""
    return member_key_named(account, pseudonym(identity))


def member_key_named(account: str, name: str) -> Item:
    """Return the key of the note that the lead whose pseudonym is `name` belongs to an account."""
    return {"pk": {"S": f"ACCOUNT#{account}"}, "sk": {"S": f"{MEMBER_PREFIX}{name}"}}


def alert_key(alert: str) -> Item:
    """Return the key of the record of an alert."""
    return {"pk": {"S": f"ALERT#{alert}"}, "sk": {"S": "ALERT"}}


def membership_partition(name: str) -> str:
    """Return the partition key of what tells in which accounts the lead whose pseudonym is `name` is noted."""
    return f"IN#{name}"


def membership_key(account: str, name: str) -> Item:
    """Return the key of what tells that the lead whose pseudonym is `name` may be noted in the account."""
    return {"pk": {"S": membership_partition(name)}, "sk": {"S": account}}


def shard_key(shard: int) -> str:
    """Return the partition key of one shard of an index."""
    return f"SHARD#{shard}"


def account_shard_key(shard: int) -> str:
    """Return the partition key of the accounts in one shard of an index."""
    return f"ACCOUNTS#{shard}"


def event_key(identity: Identity, event: Event) -> Item:
    """Return the key of one event in the log."""
    prefix = IDENTIFY_PREFIX if event["type"] == "identify" else f"{EVENT_PREFIX}#"
    return {"pk": {"S": partition_of(identity)}, "sk": {"S": f"{prefix}{event['messageId']}"}}


def event_item(identity: Identity, event: Event, retention: Millis) -> Item:
    """Return the item of one event in the log."""
    received = parse_instant(str(event.get("receivedAt") or event["timestamp"]))
    return {
        **event_key(identity, event),
        "event": {"S": compact(event)},
        "expires_at": {"N": str((received + retention) // 1000)},
    }


def read_event(item: Item) -> Event:
    """Return the event of an item."""
    event: Event = json.loads(item["event"]["S"])
    return event


def grave_item(stored: StoredIdentity, grave: Grave) -> Item:
    """Return the item of an erased identity."""
    return {
        **identity_key(stored.identity),
        "v": {"N": str(stored.version)},
        "erased": {"S": format_instant(grave.erased_at)},
        "expires_at": {"N": str(grave.expires_at // 1000)},
    }


def read_grave(item: Item) -> Grave | None:
    """Return when the identity of an item was erased and until when that is kept, None where it was not."""
    if "erased" not in item:
        return None
    return Grave(parse_instant(item["erased"]["S"]), int(item["expires_at"]["N"]) * 1000)


def identity_values(stored: StoredIdentity, shards: int) -> dict[str, AttributeValueTypeDef]:
    """Return the attributes of an identity, but for its key and its pending changes; absent ones are to be removed."""
    values: dict[str, AttributeValueTypeDef] = {
        "identity": {"S": stored.identity},
        "v": {"N": str(stored.version)},
    }
    if stored.claimed:
        values["claimed"] = {"S": compact(stored.claimed)}
    if stored.former:
        values["former"] = former_value(stored)
    if stored.memberships:
        values["memberships"] = {"S": compact(stored.memberships)}
    if stored.owner is not None:
        values["owner"] = {"S": compact(stored.owner)}
    if stored.body is not None:
        values |= _body_values(stored.identity, stored.body, shards)
    return values


def former_value(stored: StoredIdentity) -> AttributeValueTypeDef:
    """Return the attribute that holds who has lost an identity."""
    return {"S": compact(stored.former)}


def read_identity(identity: Identity, item: Item) -> StoredIdentity:
    """Return the identity of an item, or of none."""
    claimed = json.loads(item["claimed"]["S"]) if "claimed" in item else {}
    return StoredIdentity(
        identity=identity,
        version=int(item["v"]["N"]),
        owner=Ownership(*json.loads(item["owner"]["S"])) if "owner" in item else None,
        claimed={name: Moment(*first) for name, first in claimed.items()},
        former=tuple(json.loads(item["former"]["S"])) if "former" in item else (),
        memberships=tuple(json.loads(item["memberships"]["S"])) if "memberships" in item else (),
        body=_read_body(item) if "state" in item else None,
        pending=read_changes(item["pending"]["M"]) if "pending" in item else (),
        erased="erased" in item,
    )


def read_account(item: Item) -> StoredAccount:
    """Return the account of an item."""
    return StoredAccount(item["pk"]["S"].removeprefix("ACCOUNT#"), int(item["v"]["N"]), item["state"]["S"])


def rating_values(rating: StoredRating, shards: int) -> dict[str, AttributeValueTypeDef]:
    """Return the attributes of a rating, but for its key and its pending changes; absent ones are to be removed."""
    values: dict[str, AttributeValueTypeDef] = {
        "v": {"N": str(rating.version)},
        "ruleset": {"S": rating.ruleset},
        "tier": {"S": rating.tier},
        "score": {"N": repr(rating.score)},
        "people": {"N": str(rating.people)},
        "memory": {"S": compact(asdict(rating.memory))},
    }
    shard: AttributeValueTypeDef = {"S": account_shard_key(crc32(rating.account.encode()) % shards)}
    if rating.rank_key is not None:
        values |= {"rank_pk": shard, "rank_key": {"S": f"{_RANK_TOP - rating.rank_key:012d}#{rating.account}"}}
    if rating.due is not None:
        values |= {"due_pk": shard, "due_key": {"S": f"{format_instant(rating.due)}#{rating.account}"}}
    return values


def read_rating(item: Item) -> StoredRating:
    """Return the rating of an item."""
    return StoredRating(
        account=item["pk"]["S"].removeprefix("ACCOUNT#"),
        version=int(item["v"]["N"]),
        ruleset=item["ruleset"]["S"],
        tier=item["tier"]["S"],
        score=float(item["score"]["N"]),
        people=int(item["people"]["N"]),
        rank_key=read_place(item)[0] if "rank_key" in item else None,
        due=_read_due(item),
        pending=read_account_changes(item["pending"]["M"]),
        memory=AlertMemory(**json.loads(item["memory"]["S"])) if "memory" in item else AlertMemory(),
    )


def read_place(item: Item) -> tuple[int, str]:
    """Return the rank key of an item of an index, and whose it is."""
    left, _, name = item["rank_key"]["S"].partition("#")
    return _RANK_TOP - int(left), name


def read_account_changes(pending: Mapping[str, AttributeValueTypeDef]) -> tuple[AccountChange, ...]:
    """Return an account's pending changes, oldest first."""
    changes = [AccountChange(**json.loads(text["S"])) for text in pending.values()]
    return tuple(sorted(changes, key=lambda change: change.revision))


def ranking_mark(key: int, identity: Identity) -> str:
    """Return the sort key in the index `ranking` of a lead with that rank key."""
    return f"{_RANK_TOP - key:012d}#{identity}"


def change_values(changes: Sequence[Change | AccountChange]) -> dict[str, AttributeValueTypeDef]:
    """Return changes as they lie in an identity's map of pending ones."""
    return {change.id: {"S": compact(change.to_dict())} for change in changes}


def read_changes(pending: Mapping[str, AttributeValueTypeDef]) -> tuple[Change, ...]:
    """Return pending changes, oldest first."""
    changes = [Change(**json.loads(text["S"])) for text in pending.values()]
    return tuple(sorted(changes, key=lambda change: (change.at, change.revision, change.id)))


def read_ranked(item: Item) -> Ranked:
    """Return the entry of the ranking index that an item of it is."""
    key, identity = read_place(item)
    return Ranked(key, identity, item["tier"]["S"], _read_due(item), item["ruleset"]["S"])


def compact(value: object) -> str:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _body_values(identity: Identity, body: LeadBody, shards: int) -> dict[str, AttributeValueTypeDef]:
    shard: AttributeValueTypeDef = {"S": shard_key(crc32(identity.encode()) % shards)}
    values: dict[str, AttributeValueTypeDef] = {
        "state": {"S": body.state},
        "ruleset": {"S": body.ruleset},
        "tier": {"S": body.tier},
        "memory": {"S": compact(asdict(body.memory))},
        "rank_pk": shard,
        "rank_key": {"S": f"{_RANK_TOP - body.rank_key:012d}#{identity}"},
    }
    if body.account is not None:
        values["account"] = {"S": body.account}
    if body.announced is not None:
        values["announced"] = {"N": repr(body.announced)}
    if body.due is not None:
        values |= {"due_pk": shard, "due_key": {"S": f"{format_instant(body.due)}#{identity}"}}
    return values


def _read_body(item: Item) -> LeadBody:
    return LeadBody(
        state=item["state"]["S"],
        ruleset=item["ruleset"]["S"],
        tier=item["tier"]["S"],
        rank_key=read_ranked(item).rank_key,
        due=_read_due(item),
        account=item["account"]["S"] if "account" in item else None,
        memory=AlertMemory(**json.loads(item["memory"]["S"])),
        announced=float(item["announced"]["N"]) if "announced" in item else None,
    )


def _read_due(item: Item) -> Millis | None:
    return parse_instant(item["due_key"]["S"].partition("#")[0]) if "due_key" in item else None
