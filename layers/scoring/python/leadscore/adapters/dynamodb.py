"""Leads, accounts and the event log in one DynamoDB table.

    pk              sk                 what
    LEAD#<lead>     LEAD               a lead's state; carries the keys of the two sparse indexes
    LEAD#<lead>     EVENT#<messageId>  one event of the log, with a time to live
    ACCOUNT#<id>    ACCOUNT            an account's traits

    index    partition      sort key
    ranking  shard of lead  upper bound of the score, lead
    due      shard of lead  next change of tier by time alone, lead; absent where there is none

A message id is the whole of an event's sort key: a retried event may carry another time, and must still collide.
The low-level client is used because the resource would import the type serialiser, which a cold start pays for.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from zlib import crc32

from botocore.exceptions import ClientError

from leadscore.core.alerting import AlertMemory
from leadscore.core.changes import Change
from leadscore.core.instants import Millis, format_instant, parse_instant
from leadscore.usecases.records import (
    Event,
    KnownEventsError,
    LeadCommit,
    StoredAccount,
    StoredLead,
    VersionConflictError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

    Item = dict[str, AttributeValueTypeDef]

RANKING_INDEX = "ranking"
DUE_INDEX = "due"
BATCH_GET_KEYS = 100  # BatchGetItem's own limit
_DAY_SECONDS = 86_400


class DynamoReader:
    """The use cases' LeadReader on one table, whose ranking index is spread over `rank_shards` partitions."""

    def __init__(self, client: DynamoDBClient, table: str, *, rank_shards: int) -> None:
        self._client = client
        self._table = table
        self._shards = rank_shards

    def load_lead(self, lead: str) -> StoredLead | None:
        """Return the lead as last written, or None."""
        found = self._client.get_item(TableName=self._table, Key=_lead_key(lead), ConsistentRead=True)
        return _read_lead(found["Item"]) if "Item" in found else None

    def load_leads(self, leads: Sequence[str]) -> dict[str, StoredLead]:
        """Return those of up to 100 leads that exist."""
        found = (_read_lead(item) for item in self._batch_get([_lead_key(lead) for lead in leads]))
        return {stored.lead: stored for stored in found}

    def load_accounts(self, accounts: Iterable[str]) -> dict[str, StoredAccount]:
        """Return those of up to 100 accounts that exist."""
        found = (_read_account(item) for item in self._batch_get([_account_key(name) for name in accounts]))
        return {stored.account: stored for stored in found}

    def load_events(self, lead: str) -> list[Event]:
        """Return every event of the lead that the log holds, in no particular order."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
            ExpressionAttributeValues={":pk": {"S": f"LEAD#{lead}"}, ":event": {"S": "EVENT#"}},
            ProjectionExpression="event",
            ConsistentRead=True,
        )
        return [json.loads(item["event"]["S"]) for page in pages for item in page["Items"]]

    def walk_ranking(self) -> Iterator[tuple[int, str]]:
        """Yield (rank key, lead) from the highest key down, over all shards; the index lags by moments."""
        shards = [self._walk_ranking_shard(shard) for shard in range(self._shards)]
        for key in heapq.merge(*shards, reverse=True):
            bound, _, lead = key.partition("#")
            yield int(bound), lead

    def walk_due(self, until: Millis) -> Iterator[str]:
        """Yield the leads that are due by `until`, the longest due first; the index lags by moments."""
        shards = [self._walk_due_shard(shard, until) for shard in range(self._shards)]
        for key in heapq.merge(*shards):
            yield key.partition("#")[2]

    def _batch_get(self, keys: Sequence[Item]) -> Iterator[Item]:
        request: Any = {self._table: {"Keys": keys, "ConsistentRead": True}} if keys else {}
        while request:
            answer = self._client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(self._table, [])
            request = answer.get("UnprocessedKeys")

    def _walk_due_shard(self, shard: int, until: Millis) -> Iterator[str]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=DUE_INDEX,
            KeyConditionExpression="due_pk = :shard AND due_key < :after",
            ExpressionAttributeValues={
                ":shard": {"S": _shard_key(shard)},
                ":after": {"S": format_instant(until + 1)},
            },
        )
        return (item["due_key"]["S"] for page in pages for item in page["Items"])

    def _walk_ranking_shard(self, shard: int) -> Iterator[str]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=RANKING_INDEX,
            KeyConditionExpression="rank_pk = :shard",
            ExpressionAttributeValues={":shard": {"S": _shard_key(shard)}},
            ScanIndexForward=False,
            PaginationConfig={"PageSize": BATCH_GET_KEYS},
        )
        return (item["rank_key"]["S"] for page in pages for item in page["Items"])


class DynamoStore(DynamoReader):
    """The use cases' LeadStore on the same table; `retention_days` is how long an event stays in the log."""

    def __init__(self, client: DynamoDBClient, table: str, *, rank_shards: int, retention_days: int) -> None:
        super().__init__(client, table, rank_shards=rank_shards)
        self._retention = retention_days * _DAY_SECONDS

    def append_event(self, lead: str, event: Event) -> None:
        """Put one event into the log, unless its message id is there already."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item=self._event_item(lead, event),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise

    def commit(self, commit: LeadCommit) -> None:
        """Write the commit in one transaction; raises KnownEventsError or VersionConflictError."""
        events: list[TransactWriteItemTypeDef] = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": self._event_item(commit.lead.lead, event),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for event in commit.events
        ]
        accounts = [self._account_action(account) for account in commit.accounts]
        try:
            self._client.transact_write_items(TransactItems=[*events, self._lead_action(commit.lead), *accounts])
        except ClientError as error:
            raise _commit_error(error, commit) from error

    def _event_item(self, lead: str, event: Event) -> Item:
        received = parse_instant(str(event.get("receivedAt") or event["timestamp"])) // 1000
        return {
            "pk": {"S": f"LEAD#{lead}"},
            "sk": {"S": f"EVENT#{event['messageId']}"},
            "event": {"S": _compact(event)},
            "expires_at": {"N": str(received + self._retention)},
        }

    def _lead_action(self, lead: StoredLead) -> TransactWriteItemTypeDef:
        """An update, not a put: what `clear_pending` removes meanwhile must not come back."""
        values: Item = {
            ":new": {"N": str(lead.version)},
            ":state": {"S": lead.state},
            ":ruleset": {"S": lead.ruleset},
            ":tier": {"S": lead.tier},
            ":memory": {"S": _compact(asdict(lead.memory))},
            ":shard": {"S": _shard_key(crc32(lead.lead.encode()) % self._shards)},
            ":key": {"S": f"{lead.rank_key:012d}#{lead.lead}"},
        }
        names = {"#state": "state"}
        sets = "v = :new, #state = :state, ruleset = :ruleset, tier = :tier, memory = :memory"
        sets += ", rank_pk = :shard, rank_key = :key"
        if lead.due is not None:
            values[":due"] = {"S": f"{format_instant(lead.due)}#{lead.lead}"}
            sets += ", due_pk = :shard, due_key = :due"
        changes: Item = {change.id: {"S": _compact(change.to_dict())} for change in lead.pending}
        if lead.version == 1:
            values[":pending"] = {"M": changes}
            update = f"SET {sets}, pending = :pending"
            return self._update(_lead_key(lead.lead), update, "attribute_not_exists(pk)", names, values)
        for i, (change, text) in enumerate(changes.items()):
            names[f"#c{i}"], values[f":c{i}"] = change, text
            sets += f", pending.#c{i} = :c{i}"
        values[":old"] = {"N": str(lead.version - 1)}
        cleared = " REMOVE due_pk, due_key" if lead.due is None else ""
        return self._update(_lead_key(lead.lead), f"SET {sets}{cleared}", "v = :old", names, values)

    def _account_action(self, account: StoredAccount) -> TransactWriteItemTypeDef:
        values: Item = {":new": {"N": str(account.version)}, ":state": {"S": account.state}}
        condition = "attribute_not_exists(pk)"
        if account.version > 1:
            condition = "v = :old"
            values[":old"] = {"N": str(account.version - 1)}
        key = _account_key(account.account)
        return self._update(key, "SET v = :new, #state = :state", condition, {"#state": "state"}, values)

    def _update(
        self, key: Item, update: str, condition: str, names: dict[str, str], values: Item
    ) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": key,
                "UpdateExpression": update,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }


class PendingTable:
    """The changes that wait to be announced, on the leads' own items; needs no ruleset and writes nothing else."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def pending(self, lead: str) -> tuple[Change, ...]:
        """Return the changes of the lead that wait to be announced, oldest first."""
        found = self._client.get_item(
            TableName=self._table, Key=_lead_key(lead), ProjectionExpression="pending", ConsistentRead=True
        )
        return _read_changes(found["Item"]["pending"]["M"]) if "Item" in found else ()

    def clear_pending(self, lead: str, ids: Sequence[str]) -> None:
        """Forget changes that were announced; forgetting one twice is harmless."""
        names = {f"#c{i}": change for i, change in enumerate(ids)}
        self._client.update_item(
            TableName=self._table,
            Key=_lead_key(lead),
            UpdateExpression="REMOVE " + ", ".join(f"pending.{name}" for name in names),
            ExpressionAttributeNames=names,
        )


def _commit_error(error: ClientError, commit: LeadCommit) -> Exception:
    """Tell apart what the use case can act on; anything else (throttling, access, size) stays as it is."""
    if _code(error) != "TransactionCanceledException":
        return error
    reasons = [str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])]
    failed = [reason == "ConditionalCheckFailed" for reason in reasons]
    known = frozenset(
        str(event["messageId"]) for event, is_known in zip(commit.events, failed, strict=False) if is_known
    )
    if known:
        return KnownEventsError(known)
    if any(failed) or "TransactionConflict" in reasons:
        return VersionConflictError("the lead or an account was written since it was read")
    return error


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _lead_key(lead: str) -> Item:
    return {"pk": {"S": f"LEAD#{lead}"}, "sk": {"S": "LEAD"}}


def _account_key(account: str) -> Item:
    return {"pk": {"S": f"ACCOUNT#{account}"}, "sk": {"S": "ACCOUNT"}}


def _shard_key(shard: int) -> str:
    return f"SHARD#{shard}"


def _read_lead(item: Item) -> StoredLead:
    return StoredLead(
        lead=item["pk"]["S"].removeprefix("LEAD#"),
        version=int(item["v"]["N"]),
        state=item["state"]["S"],
        ruleset=item["ruleset"]["S"],
        tier=item["tier"]["S"],
        rank_key=int(item["rank_key"]["S"].partition("#")[0]),
        memory=AlertMemory(**json.loads(item["memory"]["S"])),
        due=parse_instant(item["due_key"]["S"].partition("#")[0]) if "due_key" in item else None,
        pending=_read_changes(item["pending"]["M"]),
    )


def _read_changes(pending: Mapping[str, AttributeValueTypeDef]) -> tuple[Change, ...]:
    changes = [Change(**json.loads(text["S"])) for text in pending.values()]
    return tuple(sorted(changes, key=lambda change: (change.at, change.id)))


def _read_account(item: Item) -> StoredAccount:
    return StoredAccount(
        account=item["pk"]["S"].removeprefix("ACCOUNT#"),
        version=int(item["v"]["N"]),
        state=item["state"]["S"],
    )


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
