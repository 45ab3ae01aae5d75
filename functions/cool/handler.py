"""cool: leads whose tier time alone has changed, and accounts where it may have, go to `score`, due desks to `notify`.

Trigger: an EventBridge schedule, every minute, and its own event `CoolingContinues` where more was due than one run
takes. Result: a message on the `events` queue for each lead and account that is due, and on `changes` for
each desk at which alerts wait. A run that fails is logged, counted as an
error of the function, and made good by the next one.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import bus_client, dynamodb_client, sqs_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.queues import SqsFifoQueue, SqsQueue
from leadscore.adapters.settings import CoolSettings
from leadscore.adapters.topics import COOLING_CONTINUES, Continuation
from leadscore.usecases.cooling import hand_on_due_accounts, hand_on_due_desks, hand_on_due_leads

settings = CoolSettings.from_env()
logger = Logger()
metrics = Metrics()
client, sqs = dynamodb_client(), sqs_client()
places: Any = {"shards": settings.rank_shards, "retention_days": settings.event_retention_days}
leads = DynamoReader(client, settings.table_name, **places)
desks = DynamoDesks(client, settings.table_name, **places)
events = SqsQueue(sqs, settings.events_queue_url)
changes = SqsFifoQueue(sqs, settings.changes_queue_url)
continuation = Continuation(bus_client(), settings.bus_name, COOLING_CONTINUES)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> None:
    """Hand on what is due, from the start or from where the last run ended."""
    after = event.get("detail", {}).get("after", "")
    # The first run of the minute is enough for desks and accounts, and people wait for what is on a desk.
    metrics.add_metric("DesksDue", "Count", 0 if after else hand_on_due_desks(desks, changes, utc_now()))
    done = hand_on_due_leads(leads, events, utc_now(), after)
    if done.mark is not None:
        continuation.go_on(done.mark)
    metrics.add_metric("AccountsDue", "Count", 0 if after else hand_on_due_accounts(leads, events, utc_now()))
    metrics.add_metric("LeadsDue", "Count", done.leads)
