"""The whole table read in parallel segments, to find every identity that anything is stored of.

An identity is found by its own item, or by an event of its log where it was never written: by which of the ids in the
event hashes to the partition. Items of one partition come one behind the other, which is what makes each be told once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from leadscore.adapters.items import EVENT_PREFIX, IDENTITY_KEY, compact, event_key, partition_of, read_event
from leadscore.core.identity import Identity, possible_identities
from leadscore.usecases.rebuilding import Page
from leadscore.usecases.records import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item

_IDENTITIES, _ACCOUNTS = "ID#", "ACCOUNT#"


class DynamoTable:
    """The use cases' Table on the one table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def scan(self, segment: int, segments: int, after: str | None, most: int) -> Page:
        """Return what the next `most` items of a segment are of, those behind the cursor `after`."""
        request: Any = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": segments,
            "Limit": most,
            # What is quarantined is in nobody's log, and nor are the marks.
            "FilterExpression": (
                "begins_with(pk, :identities) AND (sk = :identity OR begins_with(sk, :event))"
                " OR begins_with(pk, :accounts)"
            ),
            "ProjectionExpression": "pk, sk, #identity, erased, event",
            "ExpressionAttributeNames": {"#identity": "identity"},
            "ExpressionAttributeValues": {
                ":identities": {"S": _IDENTITIES},
                ":identity": {"S": IDENTITY_KEY},
                ":event": {"S": EVENT_PREFIX},
                ":accounts": {"S": _ACCOUNTS},
            },
        }
        told = None
        if after is not None:
            partition_key, sort_key, is_told = json.loads(after)
            told = partition_key if is_told else None
            request["ExclusiveStartKey"] = {"pk": {"S": partition_key}, "sk": {"S": sort_key}}
        answer = self._client.scan(**request)
        identities: list[Identity] = []
        accounts: list[str] = []
        strays = 0
        for partition, items in groupby(answer["Items"], key=lambda item: item["pk"]["S"]):
            if partition == told:
                continue
            if partition.startswith(_ACCOUNTS):
                accounts.append(partition.removeprefix(_ACCOUNTS))
            else:
                found = _find_identity(partition, list(items))
                identities += [found] if found else []
                strays += found is None
        if answer["Items"]:
            told = answer["Items"][-1]["pk"]["S"]
        cursor = _cursor(answer.get("LastEvaluatedKey"), told)
        return Page(identities, answer["ScannedCount"], strays, cursor, tuple(accounts))

    def forget_events(self, identity: Identity, events: Sequence[Event]) -> None:
        """Remove events from an identity's log; removing one twice is harmless."""
        for event in events:
            self._client.delete_item(TableName=self._table, Key=event_key(identity, event))

    def count_items(self) -> int:
        """Return about how many items the table has: AWS counts them every six hours."""
        return self._client.describe_table(TableName=self._table)["Table"]["ItemCount"]


def _cursor(end: Item | None, told: str | None) -> str | None:
    """Return where the next page begins. The filter may have let nothing through yet of the partition there."""
    return None if end is None else compact([end["pk"]["S"], end["sk"]["S"], end["pk"]["S"] == told])


def _find_identity(partition: str, items: Iterable[Item]) -> Identity | None:
    """Return whose partition it is: nobody's any more is "", None is nobody knows whose."""
    for item in sorted(items, key=_is_event):
        if item["sk"]["S"] == IDENTITY_KEY:
            return "" if "erased" in item else item["identity"]["S"]
        for identity in possible_identities(read_event(item)):
            if partition_of(identity) == partition:
                return identity
    return None


def _is_event(item: Item) -> bool:
    return item["sk"]["S"] != IDENTITY_KEY
