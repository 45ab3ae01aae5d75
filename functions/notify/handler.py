"""notify: what is pending on a lead goes to a desk (for people) and to the bus (for machines); desks are released.

Trigger: the `changes` queue. `{"lead": id}`: the lead's changes are recorded, those that people are to be told of filed
at a desk, and published where nothing else is there; all are told to machines, and then forgotten. `{"account": id}`:
the same for an account's. `{"desk": name}`: what waits there is published if its time has come. Result: the message ids
to try again. What could not be announced stays where it was, so that trying again, or the schedule, sends what is still
missing, under the same id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.alert_topics import AlertTopics
from leadscore.adapters.calibrations import CachedCalibration
from leadscore.adapters.clients import bus_client, dynamodb_client, sns_client, sqs_client, ssm_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoReader, PendingTable
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.queues import SqsFifoQueue
from leadscore.adapters.rulesets import cached_ruleset
from leadscore.adapters.settings import NotifySettings
from leadscore.adapters.tokens import new_token
from leadscore.adapters.topics import ChangeBus
from leadscore.core.alerts import Alert
from leadscore.usecases.alerting import AlertTools, release_desk, take_account_changes, take_changes
from leadscore.usecases.announcing import announce_pending, announce_pending_of_account

# Less time than this is not begun with; and that much later than a call's end nothing of it is under way any more.
ENOUGH_MILLIS, AFTERMATH_MILLIS = 3_000, 5_000

settings = NotifySettings.from_env()
logger = Logger()
metrics = Metrics()
client, ssm = dynamodb_client(), ssm_client()
places: Any = {"shards": settings.rank_shards, "retention_days": settings.event_retention_days}
store = PendingTable(client, settings.table_name)
desks = DynamoDesks(client, settings.table_name, **places)
machines = ChangeBus(bus_client(), settings.bus_name)
ruleset = cached_ruleset(ssm, settings.ruleset_parameter, ttl_seconds=settings.ruleset_ttl_seconds, clock=utc_now)
calibration = CachedCalibration(
    client,
    settings.table_name,
    ttl_seconds=settings.ruleset_ttl_seconds,
    clock=utc_now,
    report=logger.exception,
)
make_tools = partial(
    AlertTools,
    desks=desks,
    reader=DynamoReader(client, settings.table_name, **places),
    people=DynamoGraves(client, settings.table_name, pause),
    publisher=AlertTopics(
        sns_client(),
        settings.alerts_topic_arn,
        in_order=settings.ordered_alerts_topic_arn,
        chat=settings.chat_topic_arn,
    ),
    releases=SqsFifoQueue(sqs_client(), settings.changes_queue_url),
    calibration=calibration.value,
    lead_page=settings.lead_page,
    feedback_url=settings.feedback_url,
    make_token=new_token,
    clock=utc_now,
    pause=pause,
    # Its desk has it, and `cool` finds it there: this message again would only hold up the lead's next.
    report=partial(logger.exception, "an alert was not published: it goes out when its lease is over"),
    stage=settings.stage,
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Work on each message of the batch; answer in the shape of ReportBatchItemFailures."""
    tools = make_tools(ruleset=ruleset.value())
    retry: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            left = context.get_remaining_time_in_millis()
            lease = left + AFTERMATH_MILLIS if left >= ENOUGH_MILLIS else 0
            _work_on(replace(tools, lease=lease), json.loads(record["body"]))
        except Exception:
            logger.exception("a change was not announced", message_id=record["messageId"])
            retry.append({"itemIdentifier": record["messageId"]})
    metrics.add_metric("AnnouncementsFailed", "Count", len(retry))
    return {"batchItemFailures": retry}


def _work_on(tools: AlertTools, message: dict[str, str]) -> None:
    announced, alerts = 0, 0
    match message:
        case {"desk": name}:
            alerts = int(release_desk(tools, name) is not None)
        case {"account": account}:
            take = _counting(partial(take_account_changes, tools))
            announced = len(announce_pending_of_account(store, take, machines, account))
        case _:
            seen = desks.look_ahead(message["lead"])
            take = _counting(partial(take_changes, tools, seen=seen))
            announce_pending(store, take, machines, message["lead"], seen.lead.pending)
            announced = len(seen.lead.pending)
    metrics.add_metric("ChangesAnnounced", "Count", announced)
    metrics.add_metric("AlertsSent", "Count", alerts)


def _counting[**P](take: Callable[P, Callable[[], Sequence[Alert]]]) -> Callable[P, Callable[[], None]]:
    def counted(*args: P.args, **named: P.kwargs) -> Callable[[], None]:
        publish = take(*args, **named)

        def publish_and_count() -> None:
            metrics.add_metric("AlertsSent", "Count", len(publish()))

        return publish_and_count

    return counted
