"""slack: one alert at a time from a route's queue to its webhook or channel.

Trigger: the FIFO queue of each Slack route, one published alert a message. Result: the message ids to try again, whose
messages come back when Slack asked for it, or after a growing delay. What Slack will never take goes to the route's
dead-letter queue at once, with its reason. `{"try": route, "alert": {...}}` posts without a queue and answers how it
went: `leadscore slack test`.
"""

from __future__ import annotations

from typing import Any, Literal

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.alert_queues import RouteQueue, route_queues
from leadscore.adapters.clients import dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import utc_now, wait
from leadscore.adapters.posts import PostTable
from leadscore.adapters.settings import SlackSettings
from leadscore.adapters.slack import SlackRoutes
from leadscore.core.alerts import Alert
from leadscore.core.slack_message import slack_message
from leadscore.usecases.posting import (
    PostponedError,
    RefusedError,
    UnavailableError,
    delay_before_retry,
    post_alert,
    read_alert,
)

type Outcome = Literal["posted", "repeated", "refused", "retry"]

METRICS = {"AlertsPosted": "posted", "AlertPostsRefused": "refused", "AlertPostsRetried": "retry"}

settings = SlackSettings.from_env()
logger = Logger()
metrics = Metrics()
table = dynamodb_client()
queues = route_queues(sqs_client(), settings.slack_queues)
routes = SlackRoutes(
    ssm_client(),
    settings.slack_parameters,
    ttl_seconds=settings.slack_ttl_seconds,
    plain_loopback=settings.plain_loopback == 1,
    clock=utc_now,
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Post the alerts of the batch; answer in the shape of ReportBatchItemFailures."""
    records = [] if "try" in event else event["Records"]
    outcomes = {record["messageId"]: _deliver(record, context) for record in records}
    for name, counted in METRICS.items():
        metrics.add_metric(name, "Count", sum(outcome == counted for outcome in outcomes.values()))
    if "try" in event:
        return _try_out(event["try"], event["alert"])
    return {"batchItemFailures": [{"itemIdentifier": one} for one, outcome in outcomes.items() if outcome == "retry"]}


def _deliver(record: dict[str, Any], context: LambdaContext) -> Outcome:
    """Post one message's alert, or see to it that it comes again or is looked at; return which it was."""
    queue = queues[record["eventSourceARN"].rpartition(":")[2]]
    received = int(record["attributes"]["ApproximateReceiveCount"])
    named = {"route": queue.route, "message_id": record["messageId"], "received": received}
    try:
        alert = read_alert(record["body"])
        outcome: Outcome = post_alert(
            alert,
            routes.chat(queue.route),
            PostTable(table, settings.table_name, queue.route, utc_now),
            seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
            wait=wait,
        )
    except RefusedError as refused:
        queue.give_up(record, refused.reason)
        logger.warning("an alert was given up: it is in the dead-letter queue", reason=refused.reason, **named)
        return "refused"
    except PostponedError as postponed:
        logger.warning("Slack asks to wait", seconds=postponed.seconds, **named)
        return _put_off(record, queue, postponed.seconds, str(postponed))
    except UnavailableError as unavailable:
        logger.warning("Slack did not take an alert", reason=str(unavailable), **named)
        return _put_off(record, queue, delay_before_retry(received, settings.retry_seconds), str(unavailable))
    except Exception:
        logger.exception("an alert was not posted", **named)
        return _put_off(record, queue, delay_before_retry(received, settings.retry_seconds), "failed: see the log")
    logger.info("an alert is in Slack", outcome=outcome, alert=alert.id, **named)
    return outcome


def _put_off(record: dict[str, Any], queue: RouteQueue, seconds: float, reason: str) -> Outcome:
    """Have a message come again, or give it up where it has come often enough: it holds up those behind it."""
    received = int(record["attributes"]["ApproximateReceiveCount"])
    if received < settings.max_receives:
        queue.hide(record, seconds)
        return "retry"
    queue.give_up(record, f"{reason}, {received} times")
    return "refused"


def _try_out(route: str, document: object) -> dict[str, str]:
    """Post an alert once, without a memory, and return how that went."""
    try:
        routes.chat(route).post(slack_message(Alert.from_dict(document)), None)
    except (PostponedError, RefusedError, UnavailableError) as error:
        return {"outcome": "failed", "reason": str(error)}
    return {"outcome": "posted", "reason": ""}
