"""digest: once a day what became of leads goes out, to everybody and to each owner.

Trigger: an EventBridge schedule, every quarter of an hour; whether a digest is due says the ruleset. Result: messages
on the digests' topic, and mail to owners where the deployment has a sender. A run in which something could not be sent
raises once everything else was; the next one, while the digest is due, sends what is missing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import dynamodb_client, mail_client, sns_client, ssm_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.digests import DigestTopic, DynamoRounds, OwnersMail
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.rulesets import cached_ruleset
from leadscore.adapters.settings import DigestSettings
from leadscore.usecases.digesting import DigestTools, Way, send_digests

settings = DigestSettings.from_env()
logger = Logger()
metrics = Metrics()
client = dynamodb_client()
places: Any = {"shards": settings.rank_shards, "retention_days": settings.event_retention_days}
ruleset = cached_ruleset(
    ssm_client(), settings.ruleset_parameter, ttl_seconds=settings.ruleset_ttl_seconds, clock=utc_now
)
make_tools = partial(
    DigestTools,
    records=DynamoDesks(client, settings.table_name, **places),
    reader=DynamoReader(client, settings.table_name, **places),
    people=DynamoGraves(client, settings.table_name, pause),
    lead_page=settings.lead_page,
    clock=utc_now,
    stage=settings.stage,
)
rounds = DynamoRounds(client, settings.table_name)
ways: list[Way] = [DigestTopic(sns_client(), settings.digests_topic_arn)]
if settings.digest_from is not None:
    ways.append(OwnersMail(mail_client(), settings.digest_from))


@logger.inject_lambda_context
def handler(_event: dict[str, Any], _context: object) -> None:
    """Send what is due; raises the first of the errors where something could not be sent."""
    done = send_digests(make_tools(ruleset=ruleset.value()), rounds, ways, settings.settling_seconds * 1000)
    if done.sent or done.failed:
        # Nearly no run has any to tell of, and CloudWatch bills a metric by the hours in which it was sent.
        metrics.add_metric("DigestsSent", "Count", done.sent)
        metrics.add_metric("DigestsFailed", "Count", len(done.failed))
        metrics.flush_metrics()
    for problem in done.failed:
        logger.error("a digest was not sent", reason=str(problem), final=problem.final)
    if done.failed:
        raise done.failed[0]
