"""score: an SQS batch of events becomes leads' new states, and what changed is handed to the `changes` queue.

Trigger: the `events` queue: messages of `ingest`, envelopes of the bus rule, leads to refresh (from `cool` and `api`),
accounts whose leads are to be told of new traits or that are to be rated anew, what an erasure has left to sweep up.
Result: the message ids to try again. A message that cannot be read, or whose lead fails, is one of them: after the
queue's own number of receives it lies in the DLQ, with its reason in this function's log. Its neighbours are done. An
event that must not count is kept beside the log and counted by its reason.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from leadscore.adapters.clients import dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.parameters import CachedParameter
from leadscore.adapters.quarantine import DynamoWard
from leadscore.adapters.queues import SqsFifoQueue, SqsQueue
from leadscore.adapters.rulesets import cached_ruleset
from leadscore.adapters.settings import ScoreSettings
from leadscore.mappings import parse_mappings
from leadscore.quarantine import parse_quarantine
from leadscore.usecases.batches import Queues, count_repeats, score_batch
from leadscore.usecases.quarantining import Gate
from leadscore.usecases.rate_message import RATING_DELAY_SECONDS
from leadscore.usecases.scoring import Tools

settings = ScoreSettings.from_env()
logger = Logger()
metrics = Metrics()
client = dynamodb_client()
store = DynamoStore(
    client,
    settings.table_name,
    shards=settings.rank_shards,
    retention_days=settings.event_retention_days,
)
graves = DynamoGraves(client, settings.table_name, pause)
ward = DynamoWard(client, settings.table_name, pause, retention_days=settings.event_retention_days)
sqs = sqs_client()
queues = Queues(
    events=SqsQueue(sqs, settings.events_queue_url),
    changes=SqsFifoQueue(sqs, settings.changes_queue_url),
    ratings=SqsQueue(sqs, settings.events_queue_url, delay_seconds=RATING_DELAY_SECONDS),
)
ssm = ssm_client()
ruleset = cached_ruleset(ssm, settings.ruleset_parameter, ttl_seconds=settings.ruleset_ttl_seconds, clock=utc_now)
mappings = CachedParameter(
    ssm,
    settings.mappings_parameter,
    parse=parse_mappings,
    ttl_seconds=settings.ruleset_ttl_seconds,
    clock=utc_now,
)
quarantine = CachedParameter(
    ssm,
    settings.quarantine_parameter,
    parse=parse_quarantine,
    ttl_seconds=settings.ruleset_ttl_seconds,
    clock=utc_now,
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, list[dict[str, str]]]:
    """Score the batch; answer in the shape of ReportBatchItemFailures."""
    tools = Tools(store=store, ruleset=ruleset.value(), clock=utc_now, pause=pause)
    gate = Gate(quarantine.value(), ward)
    outcome = score_batch(tools, queues, event["Records"], graves, mappings.value(), gate)
    for failure in outcome.failures:
        logger.error(failure.reason, code=failure.code, message_ids=failure.messages, exc_info=failure.error)
    metrics.add_metric("EventsScored", "Count", outcome.scored)
    metrics.add_metric("EventsFailed", "Count", len(outcome.retry))
    _count("EventsRepeated", "source", count_repeats(event["Records"], outcome))
    _count("EventsQuarantined", "reason", Counter(each.reason for each in outcome.quarantined))
    _count("EventsQuarantined", "source", Counter(each.source for each in outcome.quarantined if each.source))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in outcome.retry]}


def _count(name: str, dimension: str, counts: Counter[str]) -> None:
    for value, count in counts.items():
        with single_metric(name, MetricUnit.Count, count) as metric:
            metric.add_dimension("service", metrics.service)
            metric.add_dimension(dimension, value)
