"""The topics that alerts go out by: one for e-mail, queues and functions, one in order for Slack, one for chats.

    alerts     standard: e-mail gets text, whoever else subscribes JSON; with attributes to filter by
    in order   FIFO, where a route needs one: JSON, with the same attributes; e-mail cannot subscribe to such a topic
    chat       standard: the one shape that Amazon Q Developer in chat applications reads, and nothing else

All are told before an alert counts as published, so that a crash in between repeats it under the same id; on the FIFO
topic that repeat is dropped for five minutes, and whoever reads the others keeps ids.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from leadscore.adapters.alert_queues import ALERT_GROUP
from leadscore.core.alert_messages import filter_attributes, fit_message, json_text, plain_text, subject_line
from leadscore.core.alerts import Alert
from leadscore.core.chat_notice import chat_notice

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef


class AlertTopics:
    """Publishes alerts; a topic that is None is not there."""

    def __init__(self, client: SNSClient, alerts: str, *, in_order: str | None = None, chat: str | None = None) -> None:
        self._client = client
        self._alerts = alerts
        self._in_order = in_order
        self._chat = chat

    def publish(self, alert: Alert) -> None:
        """Publish the alert on every topic there is; the same alert again is the same messages."""
        fitting = fit_message(alert)
        body = json_text(fitting)
        attributes = {name: _attribute(value) for name, value in filter_attributes(fitting).items()}
        # Last is the one that cannot tell a repeat: e-mail.
        if self._in_order is not None:
            self._client.publish(
                TopicArn=self._in_order,
                Message=body,
                MessageAttributes=attributes,
                MessageGroupId=ALERT_GROUP,
                MessageDeduplicationId=alert.id,
            )
        if self._chat is not None:
            self._client.publish(TopicArn=self._chat, Message=chat_notice(fitting))
        self._client.publish(
            TopicArn=self._alerts,
            Subject=subject_line(fitting),
            Message=json.dumps({"default": body, "email": plain_text(fitting)}),
            MessageStructure="json",
            MessageAttributes=attributes,
        )


def _attribute(value: str | float) -> MessageAttributeValueTypeDef:
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    return {"DataType": "Number", "StringValue": f"{value:.4f}"}
