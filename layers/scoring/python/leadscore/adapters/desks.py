"""Desks and the records of alerts in the one table.

pk               sk                what
DESK#<name>      DESK              a desk; carries the key of the index `due`, in shards of its own
ALERT#<id>       ALERT             an alert that went out or is on its way
ID#<hash>        CHANGE#<id>       a change of that lead and what became of it; goes with the person's other items
ACCOUNT#<id>     CHANGE#<id>       a change of that account and what became of it

index    partition        sort key
due      DESKS#<shard>    when the desk's time comes, then its name; absent where nothing waits
journal  CHANGES#<shard>  when the change was, then its id; those of accounts under ACCOUNTCHANGES#<shard>
journal  ALERTS#<shard>   when the alert was sealed, then its id
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from botocore.exceptions import ClientError

from leadscore.adapters.dynamodb import get_items
from leadscore.adapters.items import (
    CHANGE_PREFIX,
    DUE_INDEX,
    IDENTITY_KEY,
    JOURNAL_INDEX,
    VERDICT_PREFIX,
    account_key,
    alert_key,
    compact,
    identity_key,
    partition_named,
    read_identity,
)
from leadscore.core.alert_desk import ACCOUNT_PREFIX, AlertKind, Desk, desk_name
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity, pseudonym
from leadscore.core.instants import DAY, Millis, format_instant, parse_instant
from leadscore.core.verdicts import Verdict
from leadscore.usecases.alert_records import (
    AccountChangeRecord,
    AlertRecord,
    ChangeKey,
    ChangeRecord,
    Entry,
    Outcome,
    Seen,
    Settled,
    StoredDesk,
)
from leadscore.usecases.records import ConflictError, StoredIdentity

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item

_DESK = "DESK"
_CHANGES, _ACCOUNT_CHANGES, _ALERTS = "CHANGES", "ACCOUNTCHANGES", "ALERTS"
_JOURNAL_SHARDS = 4


class DynamoDesks:
    """The use cases' Desks on one table, whose indexes are spread over `shards` partitions."""

    def __init__(self, client: DynamoDBClient, table: str, *, shards: int, retention_days: int) -> None:
        self._client = client
        self._table = table
        self._shards = shards
        self._retention: Millis = retention_days * DAY

    def load(self, name: str) -> StoredDesk:
        """Return a desk, a blank one where it was never written."""
        found = self._client.get_item(TableName=self._table, Key=_desk_key(name), ConsistentRead=True)
        return _read_desk(name, found.get("Item"))

    def look_ahead(self, identity: Identity) -> Seen:
        """Return what `Seen` is of a lead, in one request; what was never written is at version 0."""
        name = desk_name(pseudonym(identity), None)
        keys = [identity_key(identity), _desk_key(name)]
        found = {item["sk"]["S"]: item for item in get_items(self._client, self._table, keys)}
        lead = read_identity(identity, found[IDENTITY_KEY]) if IDENTITY_KEY in found else StoredIdentity(identity)
        return Seen(lead, _read_desk(name, found.get(_DESK)))

    def save(self, stored: StoredDesk) -> None:
        """Write a desk at the version one above the one that was read; raises ConflictError, having written nothing."""
        item: Item = {
            **_desk_key(stored.desk.name),
            "v": {"N": str(stored.version)},
            "desk": {"S": stored.desk.to_json()},
        }
        if stored.due is not None:
            item["due_pk"] = {"S": f"DESKS#{self._shard(stored.desk.name)}"}
            item["due_key"] = {"S": f"{format_instant(stored.due)}#{stored.desk.name}"}
        if stored.kept_until is not None:
            item["expires_at"] = {"N": str(stored.kept_until // 1000)}
        condition: Any = {"ConditionExpression": "attribute_not_exists(pk)"}
        if stored.version > 1:
            values = {":old": {"N": str(stored.version - 1)}}
            condition = {"ConditionExpression": "v = :old", "ExpressionAttributeValues": values}
        try:
            self._client.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            if _is_refused(error):
                raise ConflictError("a desk was written since it was read") from error
            raise

    def note(self, record: ChangeRecord | AccountChangeRecord) -> None:
        """Put a change record; one that is there stays as it is."""
        journal = _CHANGES if isinstance(record, ChangeRecord) else _ACCOUNT_CHANGES
        at = parse_instant(record.change.at)
        item: Item = {
            **_change_key(record.key),
            "change": {"S": compact(record.change.to_dict())},
            "outcome": {"S": record.outcome},
            "reason": {"S": record.reason},
            "journal_pk": {"S": _journal(journal, record.key.change)},
            "journal_key": {"S": f"{record.change.at}#{record.key.change}"},
            "expires_at": {"N": str((at + self._retention) // 1000)},
        }
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if not _is_refused(error):
                raise

    def settle(self, settled: Settled) -> None:
        """Write what became of changes into their records; those of erased people stay erased."""
        change = "SET outcome = :outcome, reason = :reason"
        values: Item = {":outcome": {"S": settled.outcome}, ":reason": {"S": settled.reason}}
        if settled.alert is not None:
            change, values[":alert"] = f"{change}, alert = :alert", {"S": settled.alert}
        for key in settled.keys:
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=_change_key(key),
                    UpdateExpression=change,
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if not _is_refused(error):
                    raise

    def put_alert(self, alert: AlertRecord) -> None:
        """Put the record of an alert in place of what was there."""
        item: Item = {
            **alert_key(alert.id),
            "kind": {"S": alert.kind},
            "desk": {"S": alert.desk},
            "sealed_at": {"S": format_instant(alert.sealed_at)},
            "entries": {"S": compact(alert.entries)},
            "journal_pk": {"S": _journal(_ALERTS, alert.id)},
            "journal_key": {"S": f"{format_instant(alert.sealed_at)}#{alert.id}"},
            "expires_at": {"N": str((alert.sealed_at + self._retention) // 1000)},
        }
        if alert.account is not None:
            item["account_id"] = {"S": alert.account}
        if alert.sent_at is not None:
            item["sent_at"] = {"S": format_instant(alert.sent_at)}
        if alert.token:
            item["token"] = {"S": alert.token}
        for lead, verdict in alert.verdicts.items():
            item[f"{VERDICT_PREFIX}{lead}"] = _write_verdict(verdict)
        self._client.put_item(TableName=self._table, Item=item)

    def mark_sent(self, alert: str, at: Millis) -> None:
        """Write when an alert was sent into its record."""
        self._client.update_item(
            TableName=self._table,
            Key=alert_key(alert),
            UpdateExpression="SET sent_at = :at",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":at": {"S": format_instant(at)}},
        )

    def find_alert(self, alert: str) -> AlertRecord | None:
        """Return the alert of that id."""
        found = self._client.get_item(TableName=self._table, Key=alert_key(alert), ConsistentRead=True)
        return read_alert(found["Item"]) if "Item" in found else None

    def put_verdict(self, alert: str, lead: str, verdict: Verdict) -> None:
        """Write a verdict on one lead of an alert into its record, unless there is a later one."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=alert_key(alert),
                UpdateExpression="SET #verdict = :verdict",
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(#verdict) OR #verdict.#at <= :at)",
                ExpressionAttributeNames={"#verdict": f"{VERDICT_PREFIX}{lead}", "#at": "at"},
                ExpressionAttributeValues={":verdict": _write_verdict(verdict), ":at": {"N": str(verdict.at)}},
            )
        except ClientError as error:
            if not _is_refused(error):
                raise

    def walk_alerts(self, since: str = "0") -> Iterator[AlertRecord]:
        """Yield the alerts that were sealed at the instant `since` or later, newest first.

        It may lag behind the newest writes by moments.
        """
        walks = [self._walk_journal(f"{_ALERTS}#{shard}", since) for shard in range(_JOURNAL_SHARDS)]
        for item in heapq.merge(*walks, key=lambda item: item["journal_key"]["S"], reverse=True):
            found = self.find_alert(item["pk"]["S"].partition("#")[2])
            if found is not None:
                yield found

    def changes_of(self, pseudonym: str) -> list[ChangeRecord]:
        """Return what is on record of the changes of the lead of that pseudonym, in no particular order."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": partition_named(pseudonym)}, ":prefix": {"S": CHANGE_PREFIX}},
            ConsistentRead=True,
        )
        return [read_change_record(item) for page in pages for item in page["Items"]]

    def walk_changes(self, since: str = "0") -> Iterator[ChangeRecord]:
        """Yield what is on record of changes at the instant `since` or later, newest first, of all leads.

        It may lag behind the newest writes by moments.
        """
        return map(read_change_record, self._walk_records(_CHANGES, since))

    def walk_account_changes(self, since: str = "0") -> Iterator[AccountChangeRecord]:
        """Yield what is on record of accounts' changes at the instant `since` or later, newest first.

        It may lag behind the newest writes by moments.
        """
        return map(read_account_change_record, self._walk_records(_ACCOUNT_CHANGES, since))

    def walk_due(self, until: Millis) -> Iterator[str]:
        """Yield the names of the desks that are due by `until`; may lag behind the newest writes by moments."""
        shards = [self._walk_due(shard, until) for shard in range(self._shards)]
        yield from (key.partition("#")[2] for key in heapq.merge(*shards))

    def _walk_due(self, shard: int, until: Millis) -> Iterator[str]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=DUE_INDEX,
            KeyConditionExpression="due_pk = :shard AND due_key < :until",
            ExpressionAttributeValues={
                ":shard": {"S": f"DESKS#{shard}"},
                ":until": {"S": format_instant(until + 1)},
            },
            ProjectionExpression="due_key",
        )
        return (item["due_key"]["S"] for page in pages for item in page["Items"])

    def _walk_records(self, kind: str, since: str) -> Iterator[Item]:
        walks = [self._walk_journal(f"{kind}#{shard}", since) for shard in range(_JOURNAL_SHARDS)]
        for item in heapq.merge(*walks, key=lambda item: item["journal_key"]["S"], reverse=True):
            found = self._client.get_item(TableName=self._table, Key={"pk": item["pk"], "sk": item["sk"]})
            if "Item" in found:
                yield found["Item"]

    def _walk_journal(self, partition: str, since: str) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=JOURNAL_INDEX,
            KeyConditionExpression="journal_pk = :partition AND journal_key >= :since",
            ExpressionAttributeValues={":partition": {"S": partition}, ":since": {"S": since}},
            ScanIndexForward=False,
        )
        return (item for page in pages for item in page["Items"])

    def _shard(self, name: str) -> int:
        return crc32(name.encode()) % self._shards


def _read_desk(name: str, item: Item | None) -> StoredDesk:
    if item is None:
        return StoredDesk(Desk(name))
    due = parse_instant(item["due_key"]["S"].partition("#")[0]) if "due_key" in item else None
    kept_until = int(item["expires_at"]["N"]) * 1000 if "expires_at" in item else None
    return StoredDesk(Desk.from_json(item["desk"]["S"]), int(item["v"]["N"]), due, kept_until)


def read_alert(item: Item) -> AlertRecord:
    """Return the alert of an item."""
    return AlertRecord(
        id=item["pk"]["S"].partition("#")[2],
        kind=cast(AlertKind, item["kind"]["S"]),
        account=item["account_id"]["S"] if "account_id" in item else None,
        desk=item["desk"]["S"],
        sealed_at=parse_instant(item["sealed_at"]["S"]),
        entries=[Entry(*entry) for entry in json.loads(item["entries"]["S"])],
        sent_at=parse_instant(item["sent_at"]["S"]) if "sent_at" in item else None,
        token=item["token"]["S"] if "token" in item else "",
        verdicts={
            name.removeprefix(VERDICT_PREFIX): _read_verdict(value["M"])
            for name, value in item.items()
            if name.startswith(VERDICT_PREFIX)
        },
    )


def read_change_record(item: Item) -> ChangeRecord:
    """Return the change record of an item."""
    lead, change = item["pk"]["S"].partition("#")[2], Change(**json.loads(item["change"]["S"]))
    outcome: Any = item["outcome"]["S"]
    alert = item["alert"]["S"] if "alert" in item else None
    return ChangeRecord(ChangeKey(lead, change.id), change, outcome, item["reason"]["S"], alert)


def read_account_change_record(item: Item) -> AccountChangeRecord:
    """Return the record of an account's change of an item."""
    change = AccountChange(**json.loads(item["change"]["S"]))
    key = ChangeKey(desk_name("", change.account), change.id)
    alert = item["alert"]["S"] if "alert" in item else None
    return AccountChangeRecord(key, change, cast(Outcome, item["outcome"]["S"]), item["reason"]["S"], alert)


def _write_verdict(verdict: Verdict) -> Any:
    fields: Item = {"kind": {"S": verdict.kind}, "at": {"N": str(verdict.at)}, "by": {"S": verdict.by}}
    if verdict.reason:
        fields["reason"] = {"S": verdict.reason}
    if verdict.until is not None:
        fields["until"] = {"N": str(verdict.until)}
    return {"M": fields}


def _read_verdict(fields: Mapping[str, Any]) -> Verdict:
    kind: Any = fields["kind"]["S"]
    return Verdict(
        kind=kind,
        at=int(fields["at"]["N"]),
        by=fields["by"]["S"],
        reason=fields["reason"]["S"] if "reason" in fields else "",
        until=int(fields["until"]["N"]) if "until" in fields else None,
    )


def _journal(kind: str, name: str) -> str:
    return f"{kind}#{crc32(name.encode()) % _JOURNAL_SHARDS}"


def _desk_key(name: str) -> Item:
    return {"pk": {"S": f"DESK#{name}"}, "sk": {"S": _DESK}}


def _change_key(key: ChangeKey) -> Item:
    if key.lead.startswith(ACCOUNT_PREFIX):
        partition = account_key(key.lead.removeprefix(ACCOUNT_PREFIX))["pk"]["S"]
    else:
        partition = partition_named(key.lead)
    return {"pk": {"S": partition}, "sk": {"S": f"{CHANGE_PREFIX}{key.change}"}}


def _is_refused(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code", "") == "ConditionalCheckFailedException"
