"""Ways out: the SNS topic that people subscribe to, and the EventBridge bus that machines listen on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from leadscore.core.changes import Change
from leadscore.core.messages import filter_attributes, json_text, plain_text, subject_line

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

BUS_SOURCE = "leadscore"
CONTINUATION = "CoolingContinues"
_DETAIL_TYPES = {"tier": "LeadTierChanged", "conversion": "LeadConverted"}


class AnnouncementError(RuntimeError):
    """The bus did not take an announcement, and says why."""


class AlertTopic:
    """Publishes alerts: readable text for e-mail, JSON for queues and functions."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def announce(self, change: Change) -> None:
        """Publish the change; subscriptions may filter on its attributes."""
        text, body = plain_text(change), json_text(change)
        self._client.publish(
            TopicArn=self._topic_arn,
            Subject=subject_line(change),
            Message=json.dumps({"default": text, "sqs": body, "lambda": body, "http": body, "https": body}),
            MessageStructure="json",
            MessageAttributes={name: _attribute(value) for name, value in filter_attributes(change).items()},
        )


class ChangeBus:
    """Puts every change on the bus as `LeadTierChanged` or `LeadConverted`."""

    def __init__(self, client: EventBridgeClient, bus_name: str) -> None:
        self._client = client
        self._bus_name = bus_name

    def announce(self, change: Change) -> None:
        """Put the change; raises AnnouncementError when the bus refuses it, which PutEvents itself does not."""
        _put(self._client, self._bus_name, _DETAIL_TYPES[change.kind], json_text(change))


class Continuation:
    """Has `cool` called again, as the event `CoolingContinues` that a rule hands to it."""

    def __init__(self, client: EventBridgeClient, bus_name: str) -> None:
        self._client = client
        self._bus_name = bus_name

    def go_on(self, mark: str) -> None:
        """Put the event; raises AnnouncementError when the bus refuses it."""
        _put(self._client, self._bus_name, CONTINUATION, json.dumps({"after": mark}))


def _put(client: EventBridgeClient, bus_name: str, detail_type: str, detail: str) -> None:
    entry: PutEventsRequestEntryTypeDef = {
        "EventBusName": bus_name,
        "Source": BUS_SOURCE,
        "DetailType": detail_type,
        "Detail": detail,
    }
    answer = client.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        refused = answer["Entries"][0]
        raise AnnouncementError(f"{refused.get('ErrorCode')}: {refused.get('ErrorMessage')}")


def _attribute(value: str | float) -> MessageAttributeValueTypeDef:
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    return {"DataType": "Number", "StringValue": f"{value:.4f}"}
