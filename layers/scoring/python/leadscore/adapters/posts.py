"""What was posted to a Slack route, in the one table, in partitions that the `slack` function alone may touch.

    pk               sk                  what
    SLACK#<route>    SENT#<alert id>     attempts without a known outcome, and when it was posted
    SLACK#<route>    THREAD#<account>    the post that a follow-up of the account answers

Both are forgotten after 40 days: no queue, nor a dead-letter queue after it, keeps an alert for so long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from leadscore.usecases.posting import Beginning

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

KEPT = timedelta(days=40)
_ATTEMPTS = 2


class PostTable:
    """The use case's PostMemory of one route."""

    def __init__(self, client: DynamoDBClient, table: str, route: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._table = table
        self._route = route
        self._clock = clock

    def begin(self, alert: str) -> Beginning:
        """Note an attempt unless the alert is posted, or may have been posted twice."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(f"SENT#{alert}"),
                UpdateExpression="SET tries = if_not_exists(tries, :none) + :one, expires_at = :end",
                ConditionExpression=(
                    "attribute_not_exists(posted_at) AND (attribute_not_exists(tries) OR tries < :most)"
                ),
                ExpressionAttributeValues={
                    ":none": {"N": "0"},
                    ":one": {"N": "1"},
                    ":most": {"N": str(_ATTEMPTS)},
                    ":end": self._end(),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            left = cast(Mapping[str, object], error.response.get("Item", {}))
            return "posted" if "posted_at" in left else "unknown"
        return "begun"

    def withdraw(self, alert: str) -> None:
        """Take the attempt back."""
        self._client.update_item(
            TableName=self._table,
            Key=self._key(f"SENT#{alert}"),
            UpdateExpression="SET tries = tries - :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    def finish(self, alert: str, account: str | None, post: str | None) -> None:
        """Note that the alert is posted, and the account's thread where there is one."""
        self._client.update_item(
            TableName=self._table,
            Key=self._key(f"SENT#{alert}"),
            UpdateExpression="SET posted_at = :now, expires_at = :end",
            ExpressionAttributeValues={":now": {"S": self._clock().isoformat()}, ":end": self._end()},
        )
        if account and post:
            self._client.update_item(
                TableName=self._table,
                Key=self._key(f"THREAD#{account}"),
                UpdateExpression="SET post = :post, expires_at = :end",
                ExpressionAttributeValues={":post": {"S": post}, ":end": self._end()},
            )

    def thread(self, account: str) -> str | None:
        """Return the account's thread, None where there is none or it is too old."""
        item = self._client.get_item(
            TableName=self._table, Key=self._key(f"THREAD#{account}"), ConsistentRead=True
        ).get("Item")
        # DynamoDB removes what has expired when it finds the time.
        if item is None or int(item["expires_at"]["N"]) < self._clock().timestamp():
            return None
        return item["post"]["S"]

    def _key(self, name: str) -> dict[str, AttributeValueTypeDef]:
        return {"pk": {"S": f"SLACK#{self._route}"}, "sk": {"S": name}}

    def _end(self) -> AttributeValueTypeDef:
        return {"N": str(int((self._clock() + KEPT).timestamp()))}
