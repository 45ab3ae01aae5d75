"""Identities, accounts and the event log in one DynamoDB table, whose items `leadscore.adapters.items` describes.

The low-level client is used because the resource would import the type serialiser, which a cold start pays for.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from leadscore.adapters.items import (
    BODY_ATTRIBUTES,
    DUE_INDEX,
    EVENT_PREFIX,
    IDENTIFY_PREFIX,
    MEMBER_PREFIX,
    PEOPLE_INDEX,
    PLACE_ATTRIBUTES,
    RANKED_ATTRIBUTES,
    RANKING_INDEX,
    account_key,
    account_shard_key,
    change_values,
    event_item,
    identity_key,
    identity_values,
    member_key,
    membership_key,
    partition_of,
    ranking_mark,
    rating_key,
    rating_values,
    read_account,
    read_account_changes,
    read_event,
    read_identity,
    read_place,
    read_ranked,
    read_rating,
    shard_key,
)
from leadscore.adapters.quarantine_items import QUARANTINED_PREFIX, read_quarantined
from leadscore.core.changes import AccountChange, Change
from leadscore.core.identity import Identity, pseudonym
from leadscore.core.instants import DAY, Millis, format_instant
from leadscore.usecases.records import (
    ConflictError,
    Event,
    Logged,
    Quarantined,
    Ranked,
    StoredAccount,
    StoredIdentity,
    StoredRating,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef, TransactWriteItemTypeDef

    from leadscore.adapters.items import Item

_BATCH_KEYS = 100  # BatchGetItem's own limit
_PARALLEL_PUTS = 8
# A walk of an index mostly ends on its first page of each shard; one that goes on is a long one.
_FIRST_PAGE, _PAGE_GROWTH, _LARGEST_PAGE = 400, 4, 4000


class DynamoReader:
    """The use cases' Reader on one table, whose indexes are spread over `shards` partitions."""

    def __init__(self, client: DynamoDBClient, table: str, *, shards: int, retention_days: int) -> None:
        self._client = client
        self._table = table
        self._shards = shards
        self.retention: Millis = retention_days * DAY

    def load_identities(self, wanted: Collection[Identity]) -> dict[Identity, StoredIdentity]:
        """Return all of the wanted identities, those that were never written at version 0."""
        found = {identity: StoredIdentity(identity) for identity in wanted}
        names = {partition_of(identity): identity for identity in found}
        for item in self._get_items([identity_key(identity) for identity in found]):
            identity = names[item["pk"]["S"]]
            found[identity] = read_identity(identity, item)
        return found

    def load_accounts(self, accounts: Collection[str]) -> dict[str, StoredAccount]:
        """Return all of the named accounts, those that were never written at version 0."""
        found = {name: StoredAccount(name) for name in accounts}
        for item in self._get_items([account_key(name) for name in found]):
            stored = read_account(item)
            found[stored.account] = stored
        return found

    def load_events(self, identity: Identity, *, identify_only: bool = False) -> list[Event]:
        """Return the events logged under one identity, all or `identify` alone, in no particular order."""
        prefix = IDENTIFY_PREFIX if identify_only else EVENT_PREFIX
        return [read_event(item) for item in self._walk_items(identity, prefix, ProjectionExpression="event")]

    def load_quarantined(self, identity: Identity) -> list[Quarantined]:
        """Return the events about one identity that must not count, in no particular order."""
        return [read_quarantined(item) for item in self._walk_items(identity, QUARANTINED_PREFIX)]

    def walk_ranking(self) -> Iterator[Ranked]:
        """Yield the entries of all leads from the highest key down, of equal keys the smaller identity first."""
        shards = [shard_key(shard) for shard in range(self._shards)]
        yield from map(read_ranked, self._walk_shards(RANKING_INDEX, "rank", shards, RANKED_ATTRIBUTES))

    def walk_ranking_below(self, key: int | None, after: Identity = "") -> Iterator[Ranked]:
        """Yield what `walk_ranking` does from a key down, of those with that key itself the identities behind one."""
        shards = [shard_key(shard) for shard in range(self._shards)]
        first = "0" if key is None else f"{ranking_mark(key, after)}\0" if after else ranking_mark(key, after)
        yield from map(read_ranked, self._walk_shards(RANKING_INDEX, "rank", shards, RANKED_ATTRIBUTES, (first, ":")))

    def walk_due(self, until: Millis, after: str = "") -> Iterator[tuple[str, Identity]]:
        """Yield (mark, identity) of the leads due by `until`, the longest due first, behind the mark `after`."""
        return self._walk_due([shard_key(shard) for shard in range(self._shards)], until, after)

    def load_ratings(self, accounts: Collection[str]) -> dict[str, StoredRating]:
        """Return the ratings of all of the named accounts, those that were never written at version 0."""
        found = {name: StoredRating(name) for name in accounts}
        for item in self._get_items([rating_key(name) for name in found]):
            rating = read_rating(item)
            found[rating.account] = rating
        return found

    def walk_people(self, account: str) -> Iterator[tuple[int, Identity]]:
        """Yield (rank key, identity) of the leads of an account, the highest key first."""
        return map(read_place, self._walk_partition(PEOPLE_INDEX, "account", "rank_key", account, ["rank_key"]))

    def walk_account_ranking(self) -> Iterator[tuple[int, str]]:
        """Yield (rank key, account) of all accounts with people, the highest key first, of equal keys the smaller."""
        shards = [account_shard_key(shard) for shard in range(self._shards)]
        return map(read_place, self._walk_shards(RANKING_INDEX, "rank", shards, ["rank_key"]))

    def walk_due_accounts(self, until: Millis) -> Iterator[str]:
        """Yield the accounts due by `until`, the longest due first."""
        shards = [account_shard_key(shard) for shard in range(self._shards)]
        return (account for _, account in self._walk_due(shards, until))

    def walk_members(self, account: str, after: str = "") -> Iterator[tuple[str, Identity]]:
        """Yield (mark, identity) of all that were ever roots in the account, those behind the mark `after`."""
        values: Item = {
            ":pk": account_key(account)["pk"],
            ":after": {"S": f"{MEMBER_PREFIX}{after}"},
            ":end": {"S": f"{MEMBER_PREFIX}~"},
        }
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :after AND :end",
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                mark = item["sk"]["S"].removeprefix(MEMBER_PREFIX)
                if mark != after:
                    yield mark, item["identity"]["S"]

    def _walk_items(self, identity: Identity, prefix: str, **more: Any) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": partition_of(identity)}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
            **more,
        )
        return (item for page in pages for item in page["Items"])

    def _get_items(self, keys: Sequence[Item]) -> Iterator[Item]:
        return get_items(self._client, self._table, keys)

    def _walk_due(self, shards: Sequence[str], until: Millis, after: str = "") -> Iterator[tuple[str, str]]:
        between = (f"{after}\0", format_instant(until + 1))
        for item in self._walk_shards(DUE_INDEX, "due", shards, ["due_key"], between):
            mark = item["due_key"]["S"]
            yield mark, mark.partition("#")[2]

    def _walk_shards(
        self,
        index: str,
        prefix: str,
        shards: Sequence[str],
        attributes: Sequence[str],
        between: tuple[str, str] | None = None,
    ) -> Iterator[Item]:
        """Yield the items of several partitions of an index in the order of their sort keys."""
        names = f"{prefix}_pk", f"{prefix}_key"
        walks = [self._walk_partition(index, *names, shard, attributes, between) for shard in shards]
        return heapq.merge(*walks, key=lambda item: item[names[1]]["S"])

    def _walk_partition(
        self,
        index: str,
        partition_key: str,
        sort_key: str,
        partition: str,
        attributes: Sequence[str],
        between: tuple[str, str] | None = None,
    ) -> Iterator[Item]:
        condition, values = f"{partition_key} = :partition", {":partition": {"S": partition}}
        if between is not None:
            condition += f" AND {sort_key} BETWEEN :first AND :last"
            values |= {":first": {"S": between[0]}, ":last": {"S": between[1]}}
        request: QueryInputTypeDef = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ProjectionExpression": ", ".join(attributes),
            "Limit": _FIRST_PAGE,
        }
        while True:
            page = self._client.query(**request)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            longer = min(request["Limit"] * _PAGE_GROWTH, _LARGEST_PAGE)
            request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"], "Limit": longer}


class DynamoStore(DynamoReader):
    """The use cases' Store on the same table."""

    def put_events(self, identity: Identity, events: Sequence[Event]) -> Logged:
        """Put events into the log; of two copies with one message id it keeps the one that came first."""
        distinct: dict[str, Event] = {}
        for event in events:
            distinct.setdefault(str(event["messageId"]), event)
        if len(distinct) == 1:
            return _logged([self._put_event(identity, event) for event in distinct.values()])
        # Imported where it is needed: most batches have one event of a lead, and a cold start pays for it.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_PARALLEL_PUTS) as threads:
            return _logged(list(threads.map(lambda event: self._put_event(identity, event), distinct.values())))

    def commit(self, written: Sequence[StoredIdentity]) -> None:
        """Write identities, all or none; raises ConflictError and then has written nothing."""
        updates = [self._identity_update(stored) for stored in written]
        try:
            if len(updates) == 1:
                self._client.update_item(**updates[0])
            else:
                actions: list[TransactWriteItemTypeDef] = [{"Update": update} for update in updates]
                self._client.transact_write_items(TransactItems=actions)
        except ClientError as error:
            if _is_conflict(error):
                raise ConflictError("an identity was written since it was read") from error
            raise

    def save_account(self, account: StoredAccount) -> None:
        """Write an account at the version one above the one that was read; raises ConflictError."""
        values: Item = {":new": {"N": str(account.version)}, ":state": {"S": account.state}}
        condition = "attribute_not_exists(pk)"
        if account.version > 1:
            condition, values = "v = :old", values | {":old": {"N": str(account.version - 1)}}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=account_key(account.account),
                UpdateExpression="SET v = :new, #state = :state",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if _is_conflict(error):
                raise ConflictError("an account was written since it was read") from error
            raise

    def save_rating(self, rating: StoredRating) -> None:
        """Write a rating at the version one above the one that was read; raises ConflictError."""
        values = rating_values(rating, self._shards)
        update = self._update(rating_key(rating.account), values, PLACE_ATTRIBUTES, rating.version, rating.pending)
        try:
            self._client.update_item(**update)
        except ClientError as error:
            if _is_conflict(error):
                raise ConflictError("a rating was written since it was read") from error
            raise

    def add_member(self, account: str, identity: Identity) -> None:
        """Note that a lead belongs to an account; noting it twice is harmless."""
        # First where erasing looks: no note is ever out of its sight.
        self._client.put_item(TableName=self._table, Item=membership_key(account, pseudonym(identity)))
        self._client.put_item(
            TableName=self._table, Item={**member_key(account, identity), "identity": {"S": identity}}
        )

    def _put_event(self, identity: Identity, event: Event) -> tuple[Event, bool]:
        try:
            self._client.put_item(
                TableName=self._table,
                Item=event_item(identity, event, self.retention),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise
            held: Any = error.response
            return read_event(held["Item"]), True
        return event, False

    def _identity_update(self, stored: StoredIdentity) -> Any:
        values = identity_values(stored, self._shards)
        key, may_lack = identity_key(stored.identity), ("owner", *BODY_ATTRIBUTES)
        return self._update(key, values, may_lack, stored.version, stored.pending)

    def _update(
        self,
        key: Item,
        values: Item,
        may_lack: Sequence[str],
        version: int,
        added: Sequence[Change | AccountChange],
    ) -> Any:
        """An update, not a put: what `clear_pending` removes meanwhile must not come back."""
        names = {f"#{i}": name for i, name in enumerate(values)}
        arguments: Item = {f":{i}": value for i, value in enumerate(values.values())}
        sets = [f"#{i} = :{i}" for i in range(len(values))]
        changes = change_values(added)
        if version == 1:
            condition = "attribute_not_exists(pk)"
            sets.append("pending = :pending")
            arguments[":pending"] = {"M": changes}
        else:
            condition = "v = :old"
            arguments[":old"] = {"N": str(version - 1)}
            for i, (change, text) in enumerate(changes.items()):
                names[f"#c{i}"], arguments[f":c{i}"] = change, text
                sets.append(f"pending.#c{i} = :c{i}")
        absent = [name for name in may_lack if name not in values] if version > 1 else []
        names |= {f"#r{i}": name for i, name in enumerate(absent)}
        removes = f" REMOVE {', '.join(f'#r{i}' for i in range(len(absent)))}" if absent else ""
        return {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": f"SET {', '.join(sets)}{removes}",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": arguments,
        }


class PendingTable:
    """The changes that wait to be announced, on the identities' own items; writes nothing else."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def clear_pending(self, identity: Identity, ids: Sequence[str]) -> None:
        """Forget changes that were announced; forgetting one twice, or of an erased person, is harmless."""
        self._forget(identity_key(identity), ids)

    def pending_of_account(self, account: str) -> tuple[AccountChange, ...]:
        """Return the changes of the account that wait to be announced, oldest first."""
        found = self._client.get_item(
            TableName=self._table, Key=rating_key(account), ProjectionExpression="pending", ConsistentRead=True
        )
        return read_account_changes(found["Item"]["pending"]["M"]) if "pending" in found.get("Item", {}) else ()

    def clear_pending_of_account(self, account: str, ids: Sequence[str]) -> None:
        """Forget changes that were announced; forgetting one twice is harmless."""
        self._forget(rating_key(account), ids)

    def _forget(self, key: Item, ids: Sequence[str]) -> None:
        names = {f"#c{i}": change for i, change in enumerate(ids)}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression="REMOVE " + ", ".join(f"pending.{name}" for name in names),
                ConditionExpression="attribute_exists(pending)",
                ExpressionAttributeNames=names,
            )
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise


def get_items(client: DynamoDBClient, table: str, keys: Sequence[Item]) -> Iterator[Item]:
    """Yield those items that there are, in no particular order, each with every write that was acknowledged."""
    if len(keys) == 1:
        found = client.get_item(TableName=table, Key=keys[0], ConsistentRead=True)
        yield from [found["Item"]] if "Item" in found else []
        return
    for start in range(0, len(keys), _BATCH_KEYS):
        request: Any = {table: {"Keys": keys[start : start + _BATCH_KEYS], "ConsistentRead": True}}
        while request:
            answer = client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(table, [])
            request = answer.get("UnprocessedKeys")


def _logged(put: Sequence[tuple[Event, bool]]) -> Logged:
    return Logged([event for event, _ in put], frozenset(str(event["messageId"]) for event, known in put if known))


def _is_conflict(error: ClientError) -> bool:
    """Tell what the use case can act on; anything else (throttling, access, size) stays as it is."""
    if _code(error) in {"ConditionalCheckFailedException", "TransactionConflictException"}:
        return True
    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    return bool(reasons & {"ConditionalCheckFailed", "TransactionConflict"})


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
