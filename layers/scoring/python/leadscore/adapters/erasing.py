"""Erasing in the one table: identities become tombstones; events and notes of membership are deleted.

Invariant: a tombstone is written under the version of what it replaces, so that whoever read the identity before can
no longer write it, and a first write finds that there is an item.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from leadscore.adapters.items import (
    CHANGE_PREFIX,
    EVENT_PREFIX,
    VERDICT_PREFIX,
    alert_key,
    former_value,
    grave_item,
    identity_key,
    key_named,
    member_key_named,
    membership_key,
    membership_partition,
    partition_named,
    read_grave,
    read_identity,
)
from leadscore.adapters.quarantine_items import MARK_PREFIX, QUARANTINED_PREFIX
from leadscore.usecases.records import ConflictError, Grave, StoredIdentity
from leadscore.usecases.retrying import Pause, attempts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from leadscore.adapters.items import Item

_BATCH_DELETES = 25  # BatchWriteItem's own limit


class DynamoGraves:
    """The use cases' Graves on one table; `pause` waits where DynamoDB takes a part of a request only."""

    def __init__(self, client: DynamoDBClient, table: str, pause: Pause) -> None:
        self._client = client
        self._table = table
        self._pause = pause

    def look_up(self, pseudonym: str) -> StoredIdentity | Grave | None:
        """Return the identity, or what is left of it once it is erased, or None where it was never written."""
        found = self._client.get_item(TableName=self._table, Key=key_named(pseudonym), ConsistentRead=True)
        if "Item" not in found:
            return None
        item = found["Item"]
        return read_grave(item) or read_identity(item["identity"]["S"], item)

    def bury(self, written: Sequence[StoredIdentity], grave: Grave) -> None:
        """Write identities, all or none and at most 100; raises ConflictError and then has written nothing."""
        try:
            self._client.transact_write_items(TransactItems=[self._write(one, grave) for one in written])
        except ClientError as error:
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
            if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
                raise ConflictError("an identity was written since it was read") from error
            raise

    def walk_log(self, pseudonym: str) -> Iterator[str]:
        """Yield the key of every event that is logged under the identity, in no particular order."""
        return self._walk_sort_keys(partition_named(pseudonym), EVENT_PREFIX)

    def walk_quarantined(self, pseudonym: str) -> Iterator[str]:
        """Yield the key of every event that is quarantined under the identity, in no particular order."""
        return self._walk_sort_keys(partition_named(pseudonym), QUARANTINED_PREFIX)

    def remove_events(self, pseudonym: str, keys: Sequence[str]) -> None:
        """Remove events from the log or the quarantine; removing one twice is harmless."""
        self._delete([{"pk": {"S": partition_named(pseudonym)}, "sk": {"S": key}} for key in keys])

    def remove_records(self, pseudonym: str, names: Collection[str]) -> None:
        """Remove the records of the identity's changes, and why their alerts were judged as they were.

        The reasons that go are those of the lead, which goes by any of `names`. Doing so twice is harmless.
        """
        records = list(self._walk(partition_named(pseudonym), CHANGE_PREFIX, "sk, alert"))
        for alert in {record["alert"]["S"] for record in records if "alert" in record}:
            self._forget_reasons(alert, names)
        # Last, as they tell of the alerts.
        self.remove_events(pseudonym, [record["sk"]["S"] for record in records])

    def remove_marks(self, pseudonym: str) -> None:
        """Remove what was marked of the identity; doing so twice is harmless."""
        self.remove_events(pseudonym, list(self._walk_sort_keys(partition_named(pseudonym), MARK_PREFIX)))

    def walk_memberships(self, pseudonym: str) -> Iterator[str]:
        """Yield every account in which the identity is noted as a member, or was about to be."""
        return self._walk_sort_keys(membership_partition(pseudonym))

    def remove_memberships(self, pseudonym: str, accounts: Sequence[str]) -> None:
        """Remove the notes that the identity belongs to the accounts; removing one twice is harmless."""
        self._delete([member_key_named(account, pseudonym) for account in accounts])
        # Last, so that a note that a crash has left is still found.
        self._delete([membership_key(account, pseudonym) for account in accounts])

    def _forget_reasons(self, alert: str, names: Collection[str]) -> None:
        found = self._client.get_item(TableName=self._table, Key=alert_key(alert), ConsistentRead=True).get("Item", {})
        judged = [name for name in names if "reason" in found.get(f"{VERDICT_PREFIX}{name}", {}).get("M", {})]
        if not judged:
            return
        places = {f"#v{place}": f"{VERDICT_PREFIX}{name}" for place, name in enumerate(judged)}
        self._client.update_item(
            TableName=self._table,
            Key=alert_key(alert),
            UpdateExpression="REMOVE " + ", ".join(f"{place}.#reason" for place in places),
            ExpressionAttributeNames={"#reason": "reason", **places},
        )

    def _walk_sort_keys(self, partition: str, prefix: str | None = None) -> Iterator[str]:
        return (item["sk"]["S"] for item in self._walk(partition, prefix, "sk"))

    def _walk(self, partition: str, prefix: str | None, attributes: str) -> Iterator[Item]:
        condition, values = "pk = :pk", {":pk": {"S": partition}}
        if prefix is not None:
            condition, values = f"{condition} AND begins_with(sk, :prefix)", values | {":prefix": {"S": prefix}}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ProjectionExpression=attributes,
            ConsistentRead=True,
        )
        return (item for page in pages for item in page["Items"])

    def _write(self, stored: StoredIdentity, grave: Grave) -> TransactWriteItemTypeDef:
        arguments: Item = {} if stored.version == 1 else {":old": {"N": str(stored.version - 1)}}
        condition = "attribute_not_exists(pk)" if stored.version == 1 else "v = :old"
        if stored.erased:
            put: Any = {"TableName": self._table, "Item": grave_item(stored, grave), "ConditionExpression": condition}
            return {"Put": put | ({"ExpressionAttributeValues": arguments} if arguments else {})}
        change = "SET v = :new, former = :former" if stored.former else "SET v = :new REMOVE former"
        arguments |= {":new": {"N": str(stored.version)}}
        arguments |= {":former": former_value(stored)} if stored.former else {}
        return {
            "Update": {
                "TableName": self._table,
                "Key": identity_key(stored.identity),
                "UpdateExpression": change,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": arguments,
            }
        }

    def _delete(self, keys: Sequence[Item]) -> None:
        for some in batched(keys, _BATCH_DELETES, strict=False):
            request: Any = {self._table: [{"DeleteRequest": {"Key": key}} for key in some]}
            for _ in attempts(self._pause, "a removal"):
                request = self._client.batch_write_item(RequestItems=request).get("UnprocessedItems")
                if not request:
                    break
