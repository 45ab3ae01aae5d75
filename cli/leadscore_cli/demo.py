"""The main job before your eyes: a past to learn from, real SDK traffic in, a ranked list and the alerts out.

A year of a sample company is imported first, and learned from. The live events leave through the released
segment-analytics-python, with nothing changed but its host, and through the bus; the alerts are read from a queue that
is subscribed to the alert topic, as any team's own would be.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import segment.analytics as segment  # type: ignore[import-untyped]
from botocore.config import Config
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from leadscore.core.p_convert import PConvert, tell_p_convert
from leadscore.core.wording import name_person
from leadscore_cli.api_client import LeadDetail, LeadPage, PConvertFields, Reason
from leadscore_cli.failures import CommandError
from leadscore_cli.import_command import import_history
from leadscore_cli.insights_command import refresh_insights
from leadscore_cli.project import find_project, local_state
from leadscore_cli.sample_history import OVER_POINTED, demo_company, find_over_pointed, insight_lines, write_history
from leadscore_cli.sample_traffic import WORKED_EXAMPLE, Fact, Week, sample_week
from leadscore_cli.tables import lead_view, leads_table, reasons_line

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

    from leadscore_cli.target import Target

PEOPLE = 200
SHOWN = 12
EXPECTED_SCORE = 53.0
_SCORED_WITHIN_SECONDS = 300.0
_BUS_ENTRIES = 10  # PutEvents' own limit
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Alert:
    """What a subscriber received about one lead."""

    lead: str
    who: str
    score: float
    previous_score: float
    p_convert: PConvertFields | None
    reasons: list[Reason]


class Inbox:
    """A queue subscribed to the alert topic: what a team's own subscription would receive."""

    def __init__(self, sqs: SQSClient, sns: SNSClient, topic_arn: str) -> None:
        self._sqs = sqs
        self._sns = sns
        self._url = sqs.create_queue(QueueName=f"leadscore-demo-{time.time_ns()}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": _topic_may_send(arn, topic_arn)})
        self._subscription = sns.subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
        )["SubscriptionArn"]

    def receive(self) -> Iterator[Alert]:
        """Yield what has arrived, for each lead of each alert once."""
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                yield from _read_alerts(json.loads(message["Body"])["Message"])

    def close(self) -> None:
        """Unsubscribe and remove the queue."""
        self._sns.unsubscribe(SubscriptionArn=self._subscription)
        self._sqs.delete_queue(QueueUrl=self._url)


def run_demo(target: Target, console: Console, people: int = PEOPLE) -> bool:
    """Import a past and learn from it, send the week, print what came of it; return whether all came as it should."""
    now = datetime.now(UTC)
    week = sample_week(people, now)
    with ExitStack() as stack:
        clients = {name: stack.enter_context(closing(_client(target, name))) for name in ("sqs", "sns", "events")}
        inbox = stack.enter_context(closing(Inbox(clients["sqs"], clients["sns"], target.deployment.alerts_topic_arn)))
        api = stack.enter_context(target.api())
        import_past(target, clients["sqs"], now, console)
        refresh_insights(target)
        send_week(target, clients["events"], week, console)
        wait_until_scored(target, clients["sqs"], console)
        page, example = api.leads(limit=SHOWN), api.lead(WORKED_EXAMPLE)
        alerts, found = list(inbox.receive()), api.insights()
    show_results(console, page, example, alerts)
    holds = judge_example(console, example, alerts)
    return judge_insights(console, found) and holds


def import_past(target: Target, sqs: SQSClient, now: datetime, console: Console) -> None:
    """Import the year of the sample company that ends with yesterday, and return once it is scored."""
    path = local_state(find_project()) / "sample-history.ndjson"
    write_history(demo_company(now), path)
    import_history([str(path)])
    wait_until_scored(target, sqs, console)


def send_week(target: Target, events: Any, week: Week, console: Console) -> None:
    """Send all facts, oldest first: most with the SDK, those marked `bus` with PutEvents; CommandError if any fails."""
    by_sdk = [fact for fact in week.facts if fact.way == "sdk"]
    by_bus = [fact for fact in week.facts if fact.way == "bus"]
    with _progress(console) as progress:
        task = progress.add_task(f"sending events of {len(week.leads)} leads", total=len(week.facts))
        _send_by_sdk(target, by_sdk, lambda: progress.advance(task))
        for start in range(0, len(by_bus), _BUS_ENTRIES):
            entries = [_bus_entry(target, fact) for fact in by_bus[start : start + _BUS_ENTRIES]]
            if events.put_events(Entries=entries)["FailedEntryCount"]:
                raise CommandError("the bus refused events")
            progress.advance(task, len(entries))


def wait_until_scored(target: Target, sqs: SQSClient, console: Console) -> None:
    """Return once both queues are empty; CommandError after five minutes, or when anything lies in a DLQ."""
    deployment = target.deployment
    waiting = [deployment.events_queue_url, deployment.changes_queue_url]
    deadline = time.monotonic() + _SCORED_WITHIN_SECONDS
    with _progress(console) as progress:
        left = most = _depth(sqs, waiting)
        task = progress.add_task("scoring", total=most)
        while left:
            if time.monotonic() > deadline:
                raise CommandError(f"{left} messages were not worked off within {_SCORED_WITHIN_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
            left = _depth(sqs, waiting)
            most = max(most, left)
            progress.update(task, total=most, completed=most - left)
    failed = _depth(sqs, [deployment.events_dlq_url, deployment.changes_dlq_url])
    if failed:
        raise CommandError(f"{failed} messages lie in a DLQ: `leadscore logs score` says why")


def show_results(console: Console, page: LeadPage, example: LeadDetail, alerts: Sequence[Alert]) -> None:
    """Print the ranked list, the worked example explained, and the alerts."""
    console.rule("Who to call first")
    console.print(leads_table(page))
    console.rule("Why the worked example scores what it does")
    console.print(lead_view(example))
    console.rule(f"{len(alerts)} alerts arrived at a subscriber of the topic")
    for alert in sorted(alerts, key=lambda alert: -alert.score):
        change = f"{alert.previous_score:.1f} -> {alert.score:.1f}"
        chance = "" if alert.p_convert is None else f"{tell_p_convert(PConvert(**alert.p_convert))}  "
        console.print(f"[bold]{escape(alert.who)}[/bold]  {change}  {chance}{reasons_line(alert.reasons)}")


def judge_example(console: Console, example: LeadDetail, alerts: Sequence[Alert]) -> bool:
    """Print and return whether the worked example scored exactly 53, is hot, and was alerted once."""
    told = sum(alert.lead == WORKED_EXAMPLE for alert in alerts)
    score = example["score"]
    holds = score["total"] == EXPECTED_SCORE and score["tier"] == "hot" and told == 1
    verdict = "[green]holds[/green]" if holds else "[red]does not hold[/red]"
    console.print(f"\nThe worked example {verdict}: score {score['total']:g}, {score['tier']}, {told} alert(s).")
    return holds


def judge_insights(console: Console, found: Mapping[str, Any]) -> bool:
    """Print two lines of insight and return whether the second is what is true of the sample company."""
    console.rule("What the past says of the criteria (leadscore insights)")
    for line in insight_lines(found):
        console.print(escape(line))
    worst = find_over_pointed(found)
    return worst is not None and worst["criterion"] == OVER_POINTED


def _send_by_sdk(target: Target, facts: Sequence[Fact], sent: Callable[[], None]) -> None:
    failures: list[Exception] = []
    client = segment.Client(
        target.write_key,
        host=target.deployment.api.removesuffix("/v1"),
        on_error=lambda error, _items: failures.append(error),
        max_queue_size=len(facts) + 1,
    )
    for fact in facts:
        if fact.kind == "identify":
            client.identify(fact.lead, traits=fact.content, timestamp=fact.at)
        elif fact.kind == "page":
            client.page(fact.lead, properties=fact.content, timestamp=fact.at)
        else:
            client.track(fact.lead, fact.name, fact.content, timestamp=fact.at)
        sent()
    client.shutdown()
    if failures:
        raise CommandError(f"the SDK reported a failure: {failures[0]}")


def _bus_entry(target: Target, fact: Fact) -> PutEventsRequestEntryTypeDef:
    detail = {
        "type": fact.kind,
        "event": fact.name,
        "userId": fact.lead,
        "properties": fact.content,
        "timestamp": fact.at.isoformat(),
    }
    return {
        "EventBusName": target.deployment.bus,
        "Source": "app.webinars",
        "DetailType": fact.kind,
        "Detail": json.dumps(detail),
    }


def _client(target: Target, service: str) -> Any:
    config = Config(proxies={}) if target.endpoint_url else None
    return target.session.client(service, endpoint_url=target.endpoint_url, config=config)  # type: ignore[call-overload]


def _depth(sqs: SQSClient, urls: Sequence[str]) -> int:
    answers = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls]
    return sum(
        int(answer["ApproximateNumberOfMessages"]) + int(answer["ApproximateNumberOfMessagesNotVisible"])
        for answer in answers
    )


def _topic_may_send(queue_arn: str, topic_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _read_alerts(text: str) -> list[Alert]:
    """Return what one message tells, by lead."""
    return [
        Alert(
            lead=lead["person"]["id"],
            who=name_person(lead["person"]),
            score=lead["score"],
            previous_score=lead["previous_score"],
            p_convert=lead["p_convert"],
            reasons=lead["reasons"],
        )
        for lead in json.loads(text)["leads"]
    ]


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
