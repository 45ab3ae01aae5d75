"""notify: what is pending on a lead goes to people (SNS) and to machines (the bus), and is then forgotten.

Trigger: the `changes` queue, `{"lead": id}` a message. Result: the message ids to try again. What could not be
announced stays pending with its lead, so that trying again sends what is still missing, under the same id.
"""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import bus_client, dynamodb_client, sns_client
from leadscore.adapters.dynamodb import PendingTable
from leadscore.adapters.settings import NotifySettings
from leadscore.adapters.topics import AlertTopic, ChangeBus
from leadscore.core.changes import Change
from leadscore.usecases.announcing import announce_pending

settings = NotifySettings.from_env()
logger = Logger()
metrics = Metrics()
store = PendingTable(dynamodb_client(), settings.table_name)
people = AlertTopic(sns_client(), settings.alerts_topic_arn)
machines = ChangeBus(bus_client(), settings.bus_name)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, list[dict[str, str]]]:
    """Announce for each lead of the batch; answer in the shape of ReportBatchItemFailures."""
    retry: list[dict[str, str]] = []
    announced: list[Change] = []
    for record in event["Records"]:
        try:
            announced += announce_pending(store, people, machines, json.loads(record["body"])["lead"])
        except Exception:
            logger.exception("a change was not announced", message_id=record["messageId"])
            retry.append({"itemIdentifier": record["messageId"]})
    metrics.add_metric("ChangesAnnounced", "Count", len(announced))
    metrics.add_metric("AlertsSent", "Count", sum(change.alert for change in announced))
    metrics.add_metric("AnnouncementsFailed", "Count", len(retry))
    return {"batchItemFailures": retry}
