"""`leadscore redrive`: what lies in a dead-letter queue is shown, or sent again.

It receives, sends and deletes, the same on AWS and locally, in this order: what is interrupted comes twice and is
never lost, and whoever gets it tells repeats by their ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from leadscore.adapters.alert_queues import ALERT_GROUP
from leadscore.adapters.queues import SqsFifoQueue, SqsQueue
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import out, report

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_BATCH = 10
# As long as one look at a queue may take: what was received is out of sight until then.
_LOOK_SECONDS = 120
_SHOWN_CHARACTERS = 160


_WORK_HELP = "events: what was to be scored; changes: what was to be announced; slack: alerts, of all routes."


class Work(StrEnum):
    """Which queue's dead letters."""

    EVENTS = "events"
    CHANGES = "changes"
    SLACK = "slack"


def redrive(
    work: Annotated[Work, typer.Argument(help=_WORK_HELP)] = (Work.EVENTS),
    show: Annotated[bool, typer.Option("--show", help="Only show what lies there; it holds personal data.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Send again what lies in a dead-letter queue; what is applied already changes nothing."""
    if as_json and not show:
        raise CommandError("--json goes with --show")
    target = target_of_project(stage)
    with target.sqs() as sqs:
        if show:
            _show([found for way in _ways(target, sqs, work) for found in look(sqs, way.dead_letters)], as_json=as_json)
            return
        sent = sum(send_again(sqs, way.dead_letters, way.queue) for way in _ways(target, sqs, work))
    report(f"{sent} messages sent again" if sent else "nothing lies there")


def look(sqs: SQSClient, url: str) -> Iterator[MessageTypeDef]:
    """Yield every message of a queue once, and put all back into sight."""
    seen: dict[str, MessageTypeDef] = {}
    try:
        for messages in _receive(sqs, url):
            fresh = {message["MessageId"]: message for message in messages if message["MessageId"] not in seen}
            seen |= fresh
            yield from fresh.values()
    finally:
        for message in seen.values():
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


def send_again(sqs: SQSClient, url: str, queue: SqsQueue) -> int:
    """Move every message of the queue at `url` to `queue`; return how many."""
    sent = 0
    for messages in _receive(sqs, url):
        queue.send_all([message["Body"] for message in messages])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        sent += len(messages)
    return sent


def _receive(sqs: SQSClient, url: str) -> Iterator[list[MessageTypeDef]]:
    while messages := sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=_BATCH,
        VisibilityTimeout=_LOOK_SECONDS,
        WaitTimeSeconds=1,
        MessageSystemAttributeNames=["SentTimestamp"],
        MessageAttributeNames=["reason"],
    ).get("Messages"):
        yield messages


def _show(messages: list[MessageTypeDef], *, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps([_described(message) for message in messages]))
        return
    for message in messages:
        line = _described(message)
        told = (line["since"], line.get("reason"), line["body"][:_SHOWN_CHARACTERS])
        out.print(Text("  ".join(part for part in told if part)), soft_wrap=True)
    report(f"{len(messages)} messages; the log of the function says why each is there")


def _described(message: MessageTypeDef) -> dict[str, Any]:
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    since = datetime.fromtimestamp(sent, UTC).isoformat(timespec="seconds")
    attributes = message.get("MessageAttributes", {})
    known = {"reason": attributes["reason"]["StringValue"]} if "reason" in attributes else {}
    return {"message": message["MessageId"], "since": since, **known, "body": message["Body"]}


@dataclass(frozen=True, slots=True)
class _Way:
    """A dead-letter queue's address, and the queue that its messages go back to."""

    dead_letters: str
    queue: SqsQueue


def _ways(target: Target, sqs: SQSClient, work: Work) -> list[_Way]:
    deployment = target.deployment
    if work is Work.EVENTS:
        return [_Way(deployment.events_dlq_url, SqsQueue(sqs, deployment.events_queue_url))]
    if work is Work.CHANGES:
        return [_Way(deployment.changes_dlq_url, SqsFifoQueue(sqs, deployment.changes_queue_url))]
    queues = deployment.slack_queues.values()
    return [_Way(dead, SqsFifoQueue(sqs, url, group=ALERT_GROUP)) for url, dead in queues]
