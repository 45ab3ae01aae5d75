"""The whole table read in parallel segments, for all that is logged of each lead.

A scan brings the events of a root's partition along, as items of one partition come one behind the other; a page that
ends inside a partition is finished by a query. What else the leads of a page need, their further identities and their
accounts, is looked up for all of them together.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING, Any

from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.items import EVENT_PREFIX, IDENTITY_KEY, compact, partition_of, read_event, read_identity
from leadscore.core.identity import Identity, Ownership, possible_identities
from leadscore.usecases.histories import History, HistoryPage, account_events
from leadscore.usecases.records import Event, StoredIdentity

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item

_IDENTITIES = "ID#"
_PARALLEL_QUERIES = 8


class DynamoHistories:
    """The use cases' HistoryReader on the one table, by a client that 8 threads may share."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table
        # No index is read, and how long the log holds an event is not asked.
        self._reader = DynamoReader(client, table, shards=1, retention_days=1)

    def read(self, segment: int, segments: int, after: str | None, most: int) -> HistoryPage:
        """Return the leads whose roots are among the next `most` items of a segment, those behind the cursor."""
        request: Any = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": segments,
            "Limit": most,
            # What is quarantined is in nobody's log, and nor are the marks.
            "FilterExpression": "begins_with(pk, :identities) AND (sk = :identity OR begins_with(sk, :event))",
            "ExpressionAttributeValues": {
                ":identities": {"S": _IDENTITIES},
                ":identity": {"S": IDENTITY_KEY},
                ":event": {"S": EVENT_PREFIX},
            },
        }
        told = None
        if after is not None:
            told, sort_key = json.loads(after)
            request["ExclusiveStartKey"] = {"pk": {"S": told}, "sk": {"S": sort_key}}
        answer = self._client.scan(**request)
        items, read, cursor = list(answer["Items"]), answer["ScannedCount"], None
        if "LastEvaluatedKey" in answer:
            end = [answer["LastEvaluatedKey"][name]["S"] for name in ("pk", "sk")]
            if end[0].startswith(_IDENTITIES) and end[0] != told:
                rest = self._load_rest(*end)
                items += [item for item in rest if _is_told(item)]
                read += len(rest)
                end[1] = rest[-1]["sk"]["S"] if rest else end[1]
            cursor = compact(end)
        partitions = {name: list(some) for name, some in groupby(items, key=lambda item: item["pk"]["S"])}
        roots = [_find_root(name, some) for name, some in partitions.items() if name != told]
        logs = {
            root.identity: [read_event(item) for item in partitions[partition_of(root.identity)] if _is_event(item)]
            for root in roots
            if root is not None
        }
        return HistoryPage(self._gather([root for root in roots if root is not None], logs), read, cursor)

    def _load_rest(self, partition: str, after: str) -> list[Item]:
        """Return what a partition has behind a sort key, up to the identity's own item, which is the last of these."""
        if after >= IDENTITY_KEY:
            return []
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :identity",
            ExpressionAttributeValues={
                ":pk": {"S": partition},
                ":after": {"S": after},
                ":identity": {"S": IDENTITY_KEY},
            },
        )
        return [item for page in pages for item in page["Items"] if item["sk"]["S"] != after]

    def _gather(self, roots: Sequence[StoredIdentity], logs: Mapping[Identity, Sequence[Event]]) -> list[History]:
        """Return the histories of leads; `logs` are the events of the roots alone."""
        further = self._load_further(roots)
        names = [one for some in further.values() for one in some]
        with ThreadPoolExecutor(_PARALLEL_QUERIES) as threads:
            loaded = dict(zip(names, threads.map(self._reader.load_events, names), strict=True))
        events = {
            root.identity: [*logs[root.identity], *(event for one in further[root.identity] for event in loaded[one])]
            for root in roots
        }
        # The event that named the account may have left the log; the lead still belongs to it.
        accounts = {root.identity: _named_accounts(events[root.identity]) | _account_of(root) for root in roots}
        told = self._tell_of_accounts(set().union(*accounts.values()))
        return [
            History(
                lead=root.identity,
                events=events[root.identity],
                account_events=[event for name in sorted(accounts[root.identity]) for event in told[name]],
                body=root.body,
                owners=further[root.identity],
            )
            for root in roots
        ]

    def _load_further(self, roots: Iterable[StoredIdentity]) -> dict[Identity, dict[Identity, Ownership]]:
        """Return for each root the other identities of its tree and whose they are; all trees are gone down at once."""
        level = {root.identity: root for root in roots}
        further: dict[Identity, dict[Identity, Ownership]] = {name: {} for name in level}
        root_of = {name: name for name in level}
        while claimed := {target for one in level.values() for target in one.claimed}:
            below: dict[Identity, StoredIdentity] = {}
            for name, one in self._reader.load_identities(claimed).items():
                owner = None if one.owner is None else level.get(one.owner.owner)
                if one.owner is not None and owner is not None and name in owner.claimed:
                    root_of[name] = root_of[owner.identity]
                    further[root_of[name]][name] = one.owner
                    below[name] = one
            level = below
        return further

    def _tell_of_accounts(self, names: Collection[str]) -> dict[str, list[Event]]:
        found = self._reader.load_accounts(names) if names else {}
        return {name: account_events(stored) for name, stored in found.items()}


def _find_root(partition: str, items: Iterable[Item]) -> StoredIdentity | None:
    """Return the lead whose partition it is; None where the identity is another's, is erased, or is not to be told."""
    possible = None
    for item in items:
        if not _is_event(item):
            stored = None if "erased" in item else read_identity(item["identity"]["S"], item)
            return stored if stored is not None and stored.owner is None else None
        if possible is None:
            possible = next(
                (one for one in possible_identities(read_event(item)) if partition_of(one) == partition), None
            )
    return None if possible is None else StoredIdentity(possible)


def _named_accounts(events: Iterable[Event]) -> set[str]:
    return {str(event["groupId"]) for event in events if event.get("groupId")}


def _account_of(root: StoredIdentity) -> set[str]:
    return set() if root.body is None or root.body.account is None else {root.body.account}


def _is_event(item: Item) -> bool:
    return item["sk"]["S"].startswith(EVENT_PREFIX)


def _is_told(item: Item) -> bool:
    return _is_event(item) or item["sk"]["S"] == IDENTITY_KEY
