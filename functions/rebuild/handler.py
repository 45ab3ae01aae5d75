"""rebuild: leads are made what their log says: one that is named, or those of a segment of the table.

Trigger: the rebuild's state machine with `{"segment": 0, "segments": 32, ...}`, and then with what came back as `next`
until that is done; or whoever may invoke it, with `{"lead": id}`. Result: what was different. A lead that fails is
logged, told of and stops no other; a call that fails may be made again. Neither the log nor an answer to the state
machine names a person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.queues import SqsFifoQueue, SqsQueue
from leadscore.adapters.rulesets import cached_ruleset
from leadscore.adapters.scanning import DynamoTable
from leadscore.adapters.settings import RebuildSettings
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.batches import Queues
from leadscore.usecases.rate_message import RATING_DELAY_SECONDS
from leadscore.usecases.rebuilding import Segment, rebuild_named, work_on_segment
from leadscore.usecases.scoring import Tools

settings = RebuildSettings.from_env()
logger = Logger()
metrics = Metrics()
client = dynamodb_client()
store = DynamoStore(
    client,
    settings.table_name,
    shards=settings.rank_shards,
    retention_days=settings.event_retention_days,
)
table = DynamoTable(client, settings.table_name)
sqs = sqs_client()
queues = Queues(
    events=SqsQueue(sqs, settings.events_queue_url),
    changes=SqsFifoQueue(sqs, settings.changes_queue_url),
    ratings=SqsQueue(sqs, settings.events_queue_url, delay_seconds=RATING_DELAY_SECONDS),
)
# Not kept for a moment: whoever publishes a ruleset and then rebuilds means that one.
ssm = ssm_client()
ruleset = cached_ruleset(ssm, settings.ruleset_parameter, ttl_seconds=0, clock=utc_now)
# What a call asks amid its work: one that is published meanwhile ends the call, and its segment begins anew.
watched = cached_ruleset(ssm, settings.ruleset_parameter, ttl_seconds=2, clock=utc_now)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, object]:
    """Rebuild the named lead, or a part of a segment."""
    tools = Tools(store=store, ruleset=ruleset.value(), clock=utc_now, pause=pause)
    if "lead" in event:
        rebuilt = rebuild_named(tools, table, queues, str(event["lead"]))
        metrics.add_metric("LeadsDiffering", "Count", int(rebuilt is not None and rebuilt.found != ()))
        return {"rebuilt": None if rebuilt is None else rebuilt.to_dict()}
    before, until = Segment.from_dict(event), utc_now() + timedelta(seconds=settings.work_seconds)
    work = work_on_segment(tools, table, queues, before, lambda: utc_now() >= until or _is_outdated(tools.ruleset))
    for lead, error in work.failures:
        logger.error("a lead was not rebuilt", lead=lead, exc_info=error)
    for found in work.found:
        logger.warning("a lead was not what its log says", found=found.to_dict())
    metrics.add_metric("LeadsDiffering", "Count", len({found.lead for found in work.found}))
    metrics.add_metric("LeadsFailed", "Count", len(work.failures))
    return {"next": work.segment.to_dict(), "found": [found.to_dict() for found in work.found]}


def _is_outdated(worked_by: Ruleset) -> bool:
    """Return whether another ruleset was published: leads that are brought under the old one would stay there."""
    return watched.value().version != worked_by.version
