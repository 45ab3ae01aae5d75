"""The FIFO queues between the topic and Slack, one a route: when a message comes again, and where it ends otherwise.

All messages of a queue are one group, so that one alert at a time is posted to a webhook, in the order of their
publishing; an alert that has to wait keeps those behind it waiting, and one that is given up makes way at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ALERT_GROUP = "alerts"
# SQS hides a message for twelve hours at most.
_LONGEST_HIDING_SECONDS = 43_200


@dataclass(frozen=True, slots=True)
class RouteQueue:
    """The queue of one route and its dead-letter queue."""

    client: SQSClient
    route: str
    url: str
    dead_letters_url: str

    def hide(self, record: Mapping[str, Any], seconds: float) -> None:
        """Have a message that is being worked on come again after so many seconds."""
        self.client.change_message_visibility(
            QueueUrl=self.url,
            ReceiptHandle=record["receiptHandle"],
            VisibilityTimeout=min(_LONGEST_HIDING_SECONDS, max(0, round(seconds))),
        )

    def give_up(self, record: Mapping[str, Any], reason: str) -> None:
        """Put a message into the dead-letter queue with its reason; the caller then acknowledges it."""
        self.client.send_message(
            QueueUrl=self.dead_letters_url,
            MessageBody=record["body"],
            MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
            MessageGroupId=ALERT_GROUP,
            MessageDeduplicationId=record["messageId"],
        )


def route_queues(client: SQSClient, document: str) -> dict[str, RouteQueue]:
    """Return the queues of a setting, `{"route": [url, dead letters' url]}`, by the name that ends a queue's ARN."""
    found = [RouteQueue(client, route, *urls) for route, urls in json.loads(document).items()]
    return {queue.url.rpartition("/")[2]: queue for queue in found}
