"""`notify` is killed in the middle of its work: people hear of the lead all the same, at most one repeat, one id.

Between `notify` and AWS stands a gate that passes everything on. It holds back the answer to the one request that it
waits for, which AWS has served by then, and kills whoever waits for that answer.
"""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.alert_desk import desk_name
from leadscore.core.alerts import Alert
from leadscore.core.identity import pseudonym
from leadscore.usecases.alert_records import ChangeRecord, StoredDesk
from leadscore_cli.slack import parameter_name
from tests.e2e.deployed import Stack, eventually
from tests.fake_slack import FakeSlack, Post, running_slack

OWNER = "e2e-first"
# Until a message that `notify` failed on comes again, and some.
COMES_AGAIN_SECONDS = 60
# Until the schedule finds what was sealed by a call that died: its timeout, the aftermath, a minute, and some.
FOUND_AGAIN_SECONDS = 6 + 5 + 60 + 20


@dataclass(frozen=True, slots=True)
class Call:
    """One request of `notify` to AWS."""

    headers: dict[str, str]
    body: bytes

    def is_told_to_the_bus(self) -> bool:
        """Whether it puts something on the bus."""
        return self.headers.get("X-Amz-Target") == "AWSEvents.PutEvents"

    def is_published_on(self, topic: str) -> bool:
        """Whether it publishes on that topic."""
        fields = parse_qs(self.body.decode())
        return fields.get("Action") == ["Publish"] and fields.get("TopicArn") == [topic]


@dataclass
class Gate:
    """Passes on what comes; after the first request that is `awaited` it calls `kill` and answers nothing."""

    endpoint: str
    awaited: Callable[[Call], bool]
    kill: Callable[[], None]
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    kills: int = 0

    def pass_on(self, method: str, path: str, call: Call) -> tuple[int, dict[str, str], bytes] | None:
        """Return the answer of AWS, None to whom it was killed for."""
        target = urlsplit(self.endpoint)
        with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=30)) as connection:
            # With its own host: that is part of what is signed.
            connection.request(method, path, call.body, call.headers)
            answer = connection.getresponse()
            content = answer.read()
        with self.lock:
            if self.kills or not self.awaited(call):
                return answer.status, dict(answer.headers), content
            self.kills += 1
        assert answer.status == 200, content
        self.kill()
        return None


@contextmanager
def open_gate(gate: Gate) -> Iterator[str]:
    """Serve the gate and give its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            passed = gate.pass_on(self.command, self.path, Call(dict(self.headers), body))
            if passed is None:
                self.close_connection = True
                return
            status, headers, content = passed
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A queue of the test's own, of which nothing is lost: what it received stays."""

    sqs: Any
    url: str
    heard: list[str] = field(default_factory=list)

    @property
    def arn(self) -> str:
        """Return its ARN."""
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def receive(self) -> list[str]:
        """Return the bodies of all messages so far."""
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.heard.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return list(self.heard)


@pytest.fixture
def fake() -> Iterator[FakeSlack]:
    with running_slack() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of the alerts and changes of one test: a queue on the topic, a queue on the bus, and Slack."""

    topic: Subscriber
    bus: Subscriber
    slack: FakeSlack

    def alerts(self) -> list[str]:
        """Return the ids of the alerts that the queue on the topic has received, repeats and all."""
        return [Alert.from_dict(json.loads(body)).id for body in self.topic.receive()]

    def posts(self, lead: str) -> list[Post]:
        """Return the posts about a lead that Slack took."""
        return [post for post in self.slack.tried("first") if lead in post.said]

    def changes(self, lead: str) -> list[str]:
        """Return the ids of the tier changes of a lead that the bus has told of."""
        told = [json.loads(body)["detail"] for body in self.bus.receive()]
        return [detail["id"] for detail in told if detail["tier"] == "hot" and lead in json.dumps(detail["person"])]


@pytest.fixture
def listeners(stack: Stack, fake: FakeSlack) -> Iterator[Listeners]:
    """Subscribe both queues, the one on the topic by a filter policy, and point the Slack route at the fake."""
    sqs, sns, events = stack.clients.sqs, stack.clients.sns, stack.clients.events
    name = parameter_name("local", "first")
    stack.clients.ssm.put_parameter(Name=name, Value=fake.webhook("first"), Type="SecureString", Overwrite=True)
    topic, bus = (Subscriber(sqs, sqs.create_queue(QueueName=f"e2e-killed-{way}")["QueueUrl"]) for way in ("t", "b"))
    for queue, service in ((topic, "sns"), (bus, "events")):
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": policy})
    subscription = sns.subscribe(
        TopicArn=stack.names.alerts_topic_arn,
        Protocol="sqs",
        Endpoint=topic.arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"owner": [OWNER]})},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    rule, on = "e2e-killed", stack.names.bus
    pattern = {"source": ["leadscore"], "detail-type": ["LeadTierChanged"]}
    events.put_rule(Name=rule, EventBusName=on, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, EventBusName=on, Targets=[{"Id": "queue", "Arn": bus.arn}])
    yield Listeners(topic, bus, fake)
    events.remove_targets(Rule=rule, EventBusName=on, Ids=["queue"])
    events.delete_rule(Name=rule, EventBusName=on)
    sns.unsubscribe(SubscriptionArn=subscription)
    for queue in (topic, bus):
        sqs.delete_queue(QueueUrl=queue.url)


@dataclass(frozen=True, slots=True)
class Books:
    """What is written of one lead and its alert."""

    stack: Stack
    lead: str

    @property
    def _identity(self) -> str:
        return f"user:{self.lead}"

    def _desks(self) -> DynamoDesks:
        return DynamoDesks(self.stack.clients.dynamodb, self.stack.names.table, shards=2, retention_days=400)

    def desk(self) -> StoredDesk:
        """Return its desk."""
        return self._desks().load(desk_name(pseudonym(self._identity), None))

    def pending(self) -> list[str]:
        """Return the kinds of its changes that are not forgotten yet."""
        return [change.kind for change in self._desks().look_ahead(self._identity).lead.pending]

    def sent(self) -> list[ChangeRecord]:
        """Return its changes that people were told of."""
        records = self._desks().changes_of(pseudonym(self._identity))
        return [record for record in records if record.outcome == "sent"]


def left_in(stack: Stack, *urls: str) -> int:
    """Return how many messages there are in queues, in sight or not."""
    counts = [
        stack.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls
    ]
    return sum(
        int(count["ApproximateNumberOfMessages"]) + int(count["ApproximateNumberOfMessagesNotVisible"])
        for count in counts
    )


def at_rest(stack: Stack) -> bool:
    """Return whether nothing is to be scored and then nothing to be told."""
    return not left_in(stack, stack.names.events_queue_url) and not left_in(stack, stack.names.changes_queue_url)


@contextmanager
def killing(
    stack: Stack, awaited: Callable[[Call, Mapping[str, str]], bool], meanwhile: Callable[[], None]
) -> Iterator[Gate]:
    """Kill the running `notify` once AWS has served the call that is awaited, and `meanwhile` was called.

    Whatever is configured anew has its processes ended. The next one talks to AWS directly.
    """
    lambdas, name = stack.clients.lambdas, stack.names.functions["notify"]
    before = dict(lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"])

    def configure(more: dict[str, str]) -> None:
        lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": {**before, **more}})

    def kill() -> None:
        meanwhile()
        configure({})

    gate = Gate(stack.outputs.endpoint_url, lambda call: awaited(call, before), kill)
    with open_gate(gate) as address:
        configure({"AWS_ENDPOINT_URL": address})
        try:
            yield gate
        finally:
            configure({})


@dataclass(frozen=True, slots=True)
class Case:
    """When `notify` is killed, and what each listener then hears: how many copies under one id."""

    awaited: Callable[[Call, Mapping[str, str]], bool]
    # Whether the alert lies sealed at that moment, and which changes are not forgotten.
    sealed: bool
    pending: list[str]
    alerts: int
    changes: int


CASES = {
    "told to Slack's topic alone": Case(
        lambda call, names: call.is_published_on(names["ORDERED_ALERTS_TOPIC_ARN"]),
        sealed=True,
        pending=["tier"],
        alerts=1,
        changes=1,
    ),
    "told to all topics": Case(
        lambda call, names: call.is_published_on(names["ALERTS_TOPIC_ARN"]),
        sealed=True,
        pending=["tier"],
        alerts=2,
        changes=1,
    ),
    "told to the bus": Case(
        lambda call, _names: call.is_told_to_the_bus(),
        sealed=False,
        pending=["tier"],
        alerts=1,
        changes=2,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_notify_killed_between_telling_and_forgetting_repeats_at_most_once_under_one_id(
    stack: Stack, listeners: Listeners, case: Case
) -> None:
    lead = f"killed-{uuid.uuid4().hex[:8]}"
    books, found = Books(stack, lead), []
    who = {"title": "VP Engineering", "name": lead, "owner": OWNER, "company": {"name": "Acme", "employees": 300}}
    send = partial(stack.api.send, stack.outputs.write_key)
    send(
        [
            {"type": "identify", "userId": lead, "traits": who},
            {"type": "page", "userId": lead, "properties": {"path": "/pricing"}},
        ]
    )
    assert eventually(lambda: at_rest(stack), COMES_AGAIN_SECONDS)

    def look() -> None:
        found.append((books.desk().desk.sealed is not None, books.pending()))

    with killing(stack, case.awaited, meanwhile=look) as gate:
        send([{"type": "track", "userId": lead, "event": "Trial Started", "properties": {}}])
        assert eventually(lambda: gate.kills == 1, COMES_AGAIN_SECONDS)
        assert eventually(lambda: at_rest(stack), COMES_AGAIN_SECONDS)

    assert eventually(lambda: books.desk().due is None, FOUND_AGAIN_SECONDS)
    assert eventually(lambda: at_rest(stack), COMES_AGAIN_SECONDS)
    slack_queue, _ = stack.names.slack_queues["first"]
    assert eventually(lambda: not left_in(stack, slack_queue))
    assert found == [(case.sealed, case.pending)]
    [record] = books.sent()
    assert listeners.alerts() == [record.alert] * case.alerts
    assert listeners.changes(lead) == [record.change.id] * case.changes
    assert [post.status for post in listeners.posts(lead)] == [200]
    assert (books.pending(), books.desk().due, books.desk().desk.sealed) == ([], None, None)
