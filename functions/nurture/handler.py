"""nurture: leads that fit and have gone quiet are announced on the bus, with what would lift them into the next tier.

Trigger: an EventBridge schedule, once a day, and its own event `NurturingContinues` where there are more leads than
one run looks at and the day's budget is not spent. Result: `LeadNeedsNurturing` on the bus, the best leads first. A run
that fails is an error of the function; what it had taken and may not have announced, the next day's announces under the
same id. Where the ruleset has no `nurture`, nothing happens.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import bus_client, dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.nurture_marks import DynamoNurtureMarks
from leadscore.adapters.quarantine import DynamoWard
from leadscore.adapters.queues import SqsQueue
from leadscore.adapters.rulesets import cached_ruleset
from leadscore.adapters.settings import NurtureSettings
from leadscore.adapters.topics import NURTURING_CONTINUES, ChangeBus, Continuation
from leadscore.usecases.nurturing import NurtureTools, Place, nurture
from leadscore.usecases.ranking import move_in_passing

settings = NurtureSettings.from_env()
logger = Logger()
metrics = Metrics()
client, bus = dynamodb_client(), bus_client()
places: Any = {"shards": settings.rank_shards, "retention_days": settings.event_retention_days}
tools = NurtureTools(
    reader=DynamoReader(client, settings.table_name, **places),
    marks=DynamoNurtureMarks(client, settings.table_name, pause),
    held=DynamoWard(client, settings.table_name, pause, retention_days=settings.event_retention_days),
    desks=DynamoDesks(client, settings.table_name, **places),
    bus=ChangeBus(bus, settings.bus_name),
    clock=utc_now,
)
queue = SqsQueue(sqs_client(), settings.events_queue_url)
continuation = Continuation(bus, settings.bus_name, NURTURING_CONTINUES)
# Not kept for a moment: it runs once a day.
ruleset = cached_ruleset(ssm_client(), settings.ruleset_parameter, ttl_seconds=0, clock=utc_now)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> None:
    """Announce leads, from the upper edge of the tier or from where the last run ended."""
    after = event.get("detail", {}).get("after")
    run = nurture(tools, ruleset.value(), None if after is None else Place.decode(after))
    metrics.add_metric("LeadsNurtured", "Count", run.announced)
    metrics.add_metric("LeadsLookedAt", "Count", run.judged)
    if run.place is not None:
        continuation.go_on(run.place.encode())
    # Last, as whoever is moved is written, and is to be judged before.
    move_in_passing(queue, run.loose)
