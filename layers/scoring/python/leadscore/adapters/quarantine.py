"""The quarantine in the one table: events that must not count, and marks on those whose events must not.

Invariant: what is released loses its marks before its events, so that a mark that a crash has left is still found.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from leadscore.adapters.items import JOURNAL_INDEX, event_key, partition_of
from leadscore.adapters.quarantine_items import (
    JOURNAL_SHARDS,
    held_item,
    held_key,
    journal_partition,
    quarantined_item,
    quarantined_key,
    read_quarantined,
    tally_end,
    tally_key,
)
from leadscore.core.identity import Identity
from leadscore.core.instants import DAY, Millis
from leadscore.quarantine import Reason
from leadscore.usecases.records import Event, Quarantined
from leadscore.usecases.retrying import Pause, attempts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item

_BATCH_KEYS = 100  # BatchGetItem's own limit
_PARALLEL_PUTS = 8
_BATCH_WRITES = 25  # BatchWriteItem's own limit
# Tells messages of one window apart, and is shorter than their ids.
_DIGEST_CHARACTERS = 12


class DynamoWard:
    """The use cases' Ward on one table.

    `pause` waits where DynamoDB takes a part of a request only.
    """

    def __init__(self, client: DynamoDBClient, table: str, pause: Pause, *, retention_days: int) -> None:
        self._client = client
        self._table = table
        self._pause = pause
        self._retention: Millis = retention_days * DAY

    def find_logged(self, events: Sequence[tuple[Identity, Event]]) -> frozenset[str]:
        """Return the message ids of those events that the log has under their identity."""
        keys = {_name(event_key(identity, event)): (identity, event) for identity, event in events}
        found = self._get_items([event_key(*each) for each in keys.values()], "pk, sk")
        return frozenset(str(keys[_name(item)][1]["messageId"]) for item in found)

    def find_held(self, identities: Collection[Identity]) -> dict[Identity, Reason]:
        """Return which of the identities are marked as such whose events must not count, and why."""
        names = {partition_of(identity): identity for identity in identities}
        found = self._get_items([held_key(identity) for identity in names.values()], "pk, reason")
        return {names[item["pk"]["S"]]: Reason(item["reason"]["S"]) for item in found}

    def hold(self, identities: Collection[Identity], reason: Reason, at: Millis) -> None:
        """Mark identities as such whose events must not count from now on."""
        for identity in identities:
            self._client.put_item(TableName=self._table, Item=held_item(identity, reason, at, self._retention))

    def tally(self, identity: Identity, window: str, messages: Collection[str], most: int, at: Millis) -> int:
        """Return how many messages of the identity were told of for the window, these included, each counted once.

        From `most` on it need not be exact: no more are written down than show that there are so many.
        """
        told = {hashlib.sha256(message.encode()).hexdigest()[:_DIGEST_CHARACTERS] for message in messages}
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=tally_key(identity, window),
                UpdateExpression="SET expires_at = :end ADD messages :told",
                ConditionExpression="attribute_not_exists(messages) OR size(messages) < :most",
                ExpressionAttributeValues={
                    ":end": {"N": str(tally_end(at))},
                    ":told": {"SS": sorted(told)},
                    ":most": {"N": str(most)},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise
            return most
        return len(answer["Attributes"]["messages"]["SS"])

    def keep(self, quarantined: Sequence[Quarantined]) -> frozenset[str]:
        """Keep events; return the message ids of those that were not kept before."""
        if len(quarantined) < 2:
            put = [self._put(each) for each in quarantined]
        else:
            # Imported where it is needed: a cold start pays for it.
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_PARALLEL_PUTS) as threads:
                put = list(threads.map(self._put, quarantined))
        return frozenset(str(each.event["messageId"]) for each, new in zip(quarantined, put, strict=True) if new)

    def release(self, quarantined: Sequence[Quarantined], identities: Collection[Identity]) -> None:
        """Remove the marks that hold the identities, and then the events; doing so twice is harmless."""
        self._delete([held_key(identity) for identity in identities])
        self._delete([quarantined_key(each.identity, str(each.event["messageId"])) for each in quarantined])

    def count(self, reason: Reason, since: str = "") -> int:
        """Return how many events are kept for one reason, those received at `since` or later."""
        return sum(
            page["Count"]
            for shard in range(JOURNAL_SHARDS)
            for page in self._pages(reason, shard, since, Select="COUNT")
        )

    def walk(self, reasons: Collection[Reason], since: str = "") -> Iterator[Item]:
        """Yield the keys of the events that are kept for the reasons, the newest received first.

        It may lag behind the newest writes by moments.
        """
        walks = [
            (item for page in self._pages(reason, shard, since, ScanIndexForward=False) for item in page["Items"])
            for reason in reasons
            for shard in range(JOURNAL_SHARDS)
        ]
        for item in heapq.merge(*walks, key=lambda item: item["journal_key"]["S"], reverse=True):
            yield {"pk": item["pk"], "sk": item["sk"]}

    def load(self, keys: Collection[Item]) -> list[Quarantined]:
        """Return the events of keys, in their order; those that are gone by now are left out."""
        found = {_name(item): read_quarantined(item) for item in self._get_items(list(keys))}
        return [found[name] for name in map(_name, keys) if name in found]

    def _put(self, quarantined: Quarantined) -> bool:
        try:
            self._client.put_item(
                TableName=self._table,
                Item=quarantined_item(quarantined, self._retention),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _pages(self, reason: Reason, shard: int, since: str, **more: Any) -> Iterator[Any]:
        pages: Iterator[Any] = iter(
            self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=JOURNAL_INDEX,
                KeyConditionExpression="journal_pk = :partition AND journal_key >= :since",
                ExpressionAttributeValues={
                    ":partition": {"S": journal_partition(reason, shard)},
                    # An index knows no empty key.
                    ":since": {"S": since or "0"},
                },
                **more,
            )
        )
        return pages

    def _get_items(self, keys: Sequence[Item], attributes: str | None = None) -> Iterator[Item]:
        projection = {"ProjectionExpression": attributes} if attributes else {}
        for some in batched(keys, _BATCH_KEYS, strict=False):
            request: Any = {self._table: {"Keys": list(some), "ConsistentRead": True, **projection}}
            for _ in attempts(self._pause, "a read"):
                answer = self._client.batch_get_item(RequestItems=request)
                yield from answer["Responses"].get(self._table, [])
                request = answer.get("UnprocessedKeys")
                if not request:
                    break

    def _delete(self, keys: Sequence[Item]) -> None:
        for some in batched(keys, _BATCH_WRITES, strict=False):
            request: Any = {self._table: [{"DeleteRequest": {"Key": key}} for key in some]}
            for _ in attempts(self._pause, "a removal"):
                request = self._client.batch_write_item(RequestItems=request).get("UnprocessedItems")
                if not request:
                    break


def _name(key: Item) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]
