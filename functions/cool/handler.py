"""cool: the leads whose tier time alone has changed are handed to `score`.

Trigger: an EventBridge schedule, every minute. Result: a message on the `events` queue for each lead that is due. A run
that fails is logged, counted as an error of the function, and made good by the next one.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import dynamodb_client, sqs_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.queues import SqsQueue
from leadscore.adapters.settings import CoolSettings
from leadscore.usecases.cooling import hand_on_due_leads

settings = CoolSettings.from_env()
logger = Logger()
metrics = Metrics()
leads = DynamoReader(dynamodb_client(), settings.table_name, rank_shards=settings.rank_shards)
queue = SqsQueue(sqs_client(), settings.events_queue_url)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: object) -> None:
    """Hand on what is due."""
    metrics.add_metric("LeadsDue", "Count", hand_on_due_leads(leads, queue, utc_now()))
