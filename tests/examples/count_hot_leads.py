"""An example of a consumer: how many leads became hot on which day, none of them counted twice.

A Lambda function as the target of a rule on Leadscore's bus, with a queue for what it cannot do (a rule retries an
asynchronous function twice and then drops the event):

    {"source": ["leadscore"], "detail-type": ["LeadTierChanged"], "detail": {"tier": ["hot"]}}

An event may come more than once, and always under the same `detail.id`. So that a crash can neither lose a count nor
repeat it, "this id was seen" and what follows from it are one transaction. Where the effect is not in a table of your
own, let it carry the id (an idempotency key, the external id of an upsert), or use Powertools' idempotency utility.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A table with the partition key `pk` (text) and `expires_at` as its time to live.
TABLE = "hot-leads"
# Longer than an event can wait anywhere on its way: retries, and dead letters that are sent again.
REMEMBERED = timedelta(days=45)


def handler(event: dict[str, Any], _context: object) -> None:
    """Count the lead of one event."""
    count_hot_lead(boto3.client("dynamodb"), event["detail"])


def count_hot_lead(client: DynamoDBClient, detail: dict[str, Any]) -> bool:
    """Count a lead on the day on which it became hot; return False for an event that was counted before."""
    if detail["schema"] != "leadscore.LeadTierChanged/1":
        raise ValueError(f"written for another shape than {detail['schema']}")
    day, forgotten = detail["at"][:10], datetime.fromisoformat(detail["at"]) + REMEMBERED
    seen = {"pk": {"S": f"SEEN#{detail['id']}"}, "expires_at": {"N": str(int(forgotten.timestamp()))}}
    try:
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": TABLE, "Item": seen, "ConditionExpression": "attribute_not_exists(pk)"}},
                {
                    "Update": {
                        "TableName": TABLE,
                        "Key": {"pk": {"S": f"DAY#{day}"}},
                        "UpdateExpression": "ADD hot :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
            ]
        )
    except client.exceptions.TransactionCanceledException as error:
        if error.response["CancellationReasons"][0]["Code"] == "ConditionalCheckFailed":
            return False
        raise
    return True
