"""cool: the leads whose tier time alone has changed are handed to `score`.

Trigger: an EventBridge schedule, every minute, and its own event `CoolingContinues` where more was due than one run
takes. Result: a message on the `events` queue for each lead that is due. A run that fails is logged, counted as an
error of the function, and made good by the next one.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import bus_client, dynamodb_client, sqs_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.queues import SqsQueue
from leadscore.adapters.settings import CoolSettings
from leadscore.adapters.topics import Continuation
from leadscore.usecases.cooling import hand_on_due_leads

settings = CoolSettings.from_env()
logger = Logger()
metrics = Metrics()
leads = DynamoReader(
    dynamodb_client(),
    settings.table_name,
    shards=settings.rank_shards,
    retention_days=settings.event_retention_days,
)
queue = SqsQueue(sqs_client(), settings.events_queue_url)
continuation = Continuation(bus_client(), settings.bus_name)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> None:
    """Hand on what is due, from the start or from where the last run ended."""
    done = hand_on_due_leads(leads, queue, utc_now(), event.get("detail", {}).get("after", ""))
    if done.mark is not None:
        continuation.go_on(done.mark)
    metrics.add_metric("LeadsDue", "Count", done.leads)
