"""The marks of leads that were announced to be nurtured, and what a day has left for more, in the one table.

pk              sk              what
ID#<hash>       MARK#NURTURED   the last announcement; with the person's own, so that erasing removes it
NURTURE#<day>   BUDGET          how many leads were taken on that day

Invariant: a mark is made in one transaction with the count of its day, under the version of the lead that was judged:
nobody who was erased or written meanwhile is marked, and no two runs make the same mark.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from leadscore.adapters.items import identity_key, partition_of
from leadscore.adapters.quarantine_items import MARK_PREFIX
from leadscore.core.identity import Identity
from leadscore.core.instants import DAY, Millis, parse_instant
from leadscore.usecases.nurturing import Budget, NurtureMark, Taken
from leadscore.usecases.records import StoredIdentity
from leadscore.usecases.retrying import Pause, attempts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.adapters.items import Item

_BATCH_KEYS = 100  # BatchGetItem's own limit
# A day's count is asked for on that day alone.
_COUNT_KEPT: Millis = 7 * DAY
_REFUSED = "ConditionalCheckFailed"


class DynamoNurtureMarks:
    """The use cases' Marks on one table; `pause` waits where DynamoDB takes nothing or a part of a request only."""

    def __init__(self, client: DynamoDBClient, table: str, pause: Pause) -> None:
        self._client = client
        self._table = table
        self._pause = pause

    def find(self, identities: Collection[Identity]) -> dict[Identity, NurtureMark]:
        """Return the marks of those of the identities that have one."""
        names = {partition_of(identity): identity for identity in identities}
        found: dict[Identity, NurtureMark] = {}
        for some in batched(names.values(), _BATCH_KEYS, strict=False):
            request: Any = {self._table: {"Keys": [_mark_key(name) for name in some], "ConsistentRead": True}}
            for _ in attempts(self._pause, "a read"):
                answer = self._client.batch_get_item(RequestItems=request)
                for item in answer["Responses"].get(self._table, []):
                    found[names[item["pk"]["S"]]] = _read_mark(item)
                request = answer.get("UnprocessedKeys")
                if not request:
                    break
        return found

    def spent(self, day: str) -> int:
        """Return how many leads were taken on a day."""
        found = self._client.get_item(TableName=self._table, Key=_budget_key(day), ConsistentRead=True)
        return int(found["Item"]["taken"]["N"]) if "Item" in found else 0

    def take(
        self, lead: StoredIdentity, before: NurtureMark | None, mark: NurtureMark, kept_until: Millis, budget: Budget
    ) -> Taken:
        """Mark a lead whose mark is `before`, and count it, or do neither."""
        actions: Any = [
            {"Update": self._count(budget)},
            {
                "ConditionCheck": {
                    "TableName": self._table,
                    "Key": identity_key(lead.identity),
                    "ConditionExpression": "v = :v",
                    "ExpressionAttributeValues": {":v": {"N": str(lead.version)}},
                }
            },
            {"Put": self._put(lead.identity, before, mark, kept_until)},
        ]
        for _ in attempts(self._pause, "the day's budget"):
            try:
                self._client.transact_write_items(TransactItems=actions)
            except ClientError as error:
                refused = _refused(error)
                if refused is None:
                    continue
                return refused
            return "taken"
        raise AssertionError("the attempts end by themselves")

    def settle(self, identity: Identity, mark: NurtureMark) -> None:
        """Write that the bus has the announcement; where the mark is another one by now, or gone, nothing."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_mark_key(identity),
                UpdateExpression="SET told = :told",
                ConditionExpression="announced_as = :id AND taken_at = :at",
                ExpressionAttributeValues={":told": {"BOOL": True}, **_values(mark)},
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise

    def _count(self, budget: Budget) -> Any:
        begins = parse_instant(f"{budget.day}T00:00:00Z")
        return {
            "TableName": self._table,
            "Key": _budget_key(budget.day),
            "UpdateExpression": "SET expires_at = :end ADD taken :one",
            "ConditionExpression": "attribute_not_exists(taken) OR taken < :most",
            "ExpressionAttributeValues": {
                ":end": {"N": str((begins + _COUNT_KEPT) // 1000)},
                ":one": {"N": "1"},
                ":most": {"N": str(budget.most)},
            },
        }

    def _put(self, identity: Identity, before: NurtureMark | None, mark: NurtureMark, kept_until: Millis) -> Any:
        condition: Any = {"ConditionExpression": "attribute_not_exists(pk)"}
        if before is not None:
            # A mark whose period is over may still be there, and may go at any moment.
            condition = {
                "ConditionExpression": "attribute_not_exists(pk) OR (announced_as = :id AND taken_at = :at)",
                "ExpressionAttributeValues": _values(before),
            }
        item: Item = {
            **_mark_key(identity),
            "announced_as": {"S": mark.id},
            "taken_at": {"N": str(mark.at)},
            "told": {"BOOL": mark.told},
            "expires_at": {"N": str(kept_until // 1000)},
        }
        return {"TableName": self._table, "Item": item, **condition}


def _refused(error: ClientError) -> Taken | None:
    """Return what a transaction was refused for, None where another one was at the same items at that moment."""
    reasons: Any = error.response.get("CancellationReasons", [])
    codes: Sequence[str] = [reason.get("Code") for reason in reasons]
    if not codes:
        raise error
    if codes[0] == _REFUSED:
        return "spent"
    if _REFUSED in codes:
        return "changed"
    if "TransactionConflict" not in codes:
        raise error
    return None


def _mark_key(identity: Identity) -> Item:
    return {"pk": {"S": partition_of(identity)}, "sk": {"S": f"{MARK_PREFIX}NURTURED"}}


def _budget_key(day: str) -> Item:
    return {"pk": {"S": f"NURTURE#{day}"}, "sk": {"S": "BUDGET"}}


def _read_mark(item: Item) -> NurtureMark:
    return NurtureMark(item["announced_as"]["S"], int(item["taken_at"]["N"]), item["told"]["BOOL"])


def _values(mark: NurtureMark) -> Item:
    return {":id": {"S": mark.id}, ":at": {"N": str(mark.at)}}
