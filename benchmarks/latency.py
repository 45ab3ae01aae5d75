"""How long after an accepted event Slack is told, beside a bare chain of the same services in the same run.

Run `python -m benchmarks.latency` while nothing else runs; it takes less than a minute. One emulator holds both: the
app with one Slack route, and `benchmarks/bare_chain`, four functions that only pass a message on. Both chains are

    REST API -> function -> SQS -> function -> FIFO queue -> function -> FIFO topic -> FIFO queue -> function -> HTTP

and the bare one is measured in two ways: as it is, each of its functions reading or writing an item, which keeps
nothing that a crash would need (6 requests to AWS one after the other after the answer); and with what an alert cannot
do without, a log of the events before they count and a note of what is about to be told before it is (8 requests). The
policy is the usual one, without a delay and without working hours. The bare chain's clients of AWS have botocore's own
settings; with `--same-clients` they spare what ours spare, so that the chains alone differ.

Two things are as on AWS and not as in the local stage, for all chains: the functions keep parameters for a minute, as
in prod, and not for a second; and the emulator, which otherwise rests for up to 50 ms after it has looked into its
queues in vain, never rests. With `--resting` it does: then most of the time is rests, and a chain may happen to fall
into one at the same hop each time.

Each run is one event that makes a warm lead hot, and the same event through the bare chain, in turns; the next begins
when all queues are empty. The time until the request is at a Slack on this machine is given from three instants: when
the event was accepted, which is when the first queue had it, as the first function of each chain logs right after
(milliseconds); when the request for it was sent; and when the answer was here. That is the latest, as the next
functions are at work by then: where nothing rests the alert may even be in Slack before the answer is here.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.beside import ACCOUNT, Beside, open_clients
from leadscore_cli.local_stage import LocalStage
from leadscore_cli.outputs import LocalOutputs
from leadscore_cli.project import find_project
from leadscore_cli.slack import parameter_name
from tests.fake_slack import Answer, FakeSlack, Post, running_slack

HERE = Path(__file__).parent
RUNS, WARM_UPS = 50, 4
# What a clock that only goes forward lacks to the time of day, by which functions log.
OFFSET = time.time() - time.monotonic()
BATCH = 100
ROUTE, NAME = "all", "latency-bare"
OURS, BARE, SAFE = "ours", "bare", "bare-safe"
POLICY = {"tier": "hot", "rearm_below": 40, "cooldown": "7d"}
EXECUTIVE = {"title": "VP Engineering", "company": {"name": "Acme", "employees": 300}}
# How long the functions of the stage `prod` keep parameters, and the variables that say so.
KEPT_SECONDS = "60"
KEEPING = ("RULESET_TTL_SECONDS", "SLACK_TTL_SECONDS")
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Chain:
    """One way from an event to Slack: where events go in, the queues on the way, and where its posts arrive.

    The function that takes events writes to the `log` when it has. What the chain posts begins with what it `says`;
    `marks` are put into each event, whose id begins with the `name`.
    """

    name: str
    base: str
    key: str
    log: str
    queues: Sequence[str]
    hook: str
    says: str
    marks: Mapping[str, object] = field(default_factory=dict)

    def send(self, path: str, body: dict[str, Any]) -> tuple[float, float]:
        """Send a request and return when it went and when its answer was there, by the monotonic clock."""
        target = urlsplit(self.base)
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=PATIENCE_SECONDS)
        headers = {
            "Content-Type": "application/json",
            "Authorization": "Basic " + b64encode(f"{self.key}:".encode()).decode(),
        }
        sent = time.monotonic()
        connection.request("POST", f"{target.path}/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        answered = time.monotonic()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{self.name} answered {answer.status}: {content!r}")
        return sent, answered


class Run(NamedTuple):
    """When one event was sent and answered, and when Slack had it."""

    sent: float
    answered: float
    arrived: float


@dataclass(frozen=True, slots=True)
class Bench:
    """Both chains' Slack, queues and logs."""

    fake: FakeSlack
    sqs: Any
    logs: Any

    def measure(self, chain: Chain, lead: str) -> Run:
        """Send one event and wait until all is quiet."""
        name = f"{chain.name}/{lead}"
        event = {"type": "track", "event": "Trial Started", "userId": lead, "messageId": name, **chain.marks}
        sent, answered = chain.send("track", event)
        # Ours names the lead, the bare one has nothing but the message's id to say.
        [arrived] = _wait_for(name, lambda: self.posts(chain, lead))
        self.rest(chain)
        return Run(sent, answered, arrived.at)

    def accepted(self, chain: Chain, runs: Sequence[Run]) -> list[float]:
        """Return when each event of a chain was accepted, by what its first function has logged."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=chain.log)
        lines = [each["message"] for page in pages for each in page["events"]]
        logged = [json.loads(line)["_aws"]["Timestamp"] / 1000 - OFFSET for line in lines if '"_aws"' in line]
        found = [[at for at in logged if run.sent - 0.001 < at < run.arrived] for run in runs]
        return [at for [at] in found]

    def posts(self, chain: Chain, lead: str) -> list[Post]:
        """Return what was posted for that lead by that chain."""
        return [post for post in self.fake.tried(chain.hook) if lead in post.said and post.said.startswith(chain.says)]

    def rest(self, chain: Chain) -> None:
        """Return once nothing is under way in a chain, first to last queue."""
        for queue in chain.queues:
            _wait_for(f"{queue} to be empty", partial(self._is_empty, queue))

    def _is_empty(self, url: str) -> bool:
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return bool(counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0")


def _wait_for[T](what: str, check: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := check()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.02)
    return found


def keep_parameters_as_prod_does(functions: Any) -> None:
    """Have all functions of the app keep parameters for as long as on AWS; none of them has read one yet after it."""
    for page in functions.get_paginator("list_functions").paginate():
        for one in page["Functions"]:
            variables = one.get("Environment", {}).get("Variables", {})
            kept = {name: KEPT_SECONDS for name in KEEPING if name in variables}
            if kept:
                environment = {"Variables": {**variables, **kept}}
                functions.update_function_configuration(FunctionName=one["FunctionName"], Environment=environment)


def prepare_ours(stack: LocalOutputs, clients: dict[str, Any], bench: Bench, leads: Sequence[str]) -> Chain:
    """Set the policy and the webhook, and make leads that one more event makes hot."""
    names = stack.deployment
    name = names.ruleset_parameter
    ruleset = json.loads(clients["ssm"].get_parameter(Name=name)["Parameter"]["Value"])
    clients["ssm"].put_parameter(
        Name=name, Value=json.dumps({**ruleset, "alerts": POLICY}), Type="String", Overwrite=True
    )
    webhook = {"Name": parameter_name(names.stage, ROUTE), "Value": bench.fake.webhook(ROUTE)}
    clients["ssm"].put_parameter(**webhook, Type="SecureString", Overwrite=True)
    keep_parameters_as_prod_does(clients["lambda"])
    base = f"{stack.endpoint_url}/_aws/execute-api/{names.api_id}/v1"
    queues = (names.events_queue_url, names.changes_queue_url, names.slack_queues[ROUTE][0])
    chain = Chain(OURS, base, stack.write_key, names.log_groups["ingest"], queues, ROUTE, "Hot lead: ")
    known = [{"type": "identify", "userId": lead, "traits": {**EXECUTIVE, "name": lead}} for lead in leads]
    looked = [{"type": "page", "userId": lead, "properties": {"path": "/pricing"}} for lead in leads]
    events = [*known, *looked]
    for start in range(0, len(events), BATCH):
        chain.send("batch", {"batch": events[start : start + BATCH]})
    bench.rest(chain)
    if bench.fake.posts:
        raise RuntimeError("a lead is hot before its time")
    return chain


def deploy_bare(clients: dict[str, Any], endpoint: str, fake: FakeSlack, *, same_clients: bool) -> tuple[Chain, Chain]:
    """Create the bare chain, if wanted with clients of AWS as ours has them, and return both of its ways."""
    beside = Beside(clients, endpoint, NAME, HERE / "bare_chain" / "handler.py")
    fake.always[f"/services/{NAME}"] = Answer(200, "ok")
    fifo = {"FifoQueue": "true"}
    events = clients["sqs"].create_queue(QueueName=f"{NAME}-events")["QueueUrl"]
    changes = clients["sqs"].create_queue(QueueName=f"{NAME}-changes.fifo", Attributes=fifo)["QueueUrl"]
    alerts = clients["sqs"].create_queue(QueueName=f"{NAME}-alerts.fifo", Attributes=fifo)["QueueUrl"]
    topic = clients["sns"].create_topic(Name=f"{NAME}.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    table = clients["dynamodb"].create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]["TableArn"]
    receive = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    role = beside.make_role(
        {"Effect": "Allow", "Action": ["sqs:SendMessage", *receive], "Resource": f"arn:aws:sqs:{ACCOUNT}:{NAME}-*"},
        {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": table},
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic},
    )
    variables = {
        "EVENTS_QUEUE_URL": events,
        "CHANGES_QUEUE_URL": changes,
        "TABLE_NAME": NAME,
        "TOPIC_ARN": topic,
        "WEBHOOK": fake.webhook(NAME),
        "CLIENTS": "ours" if same_clients else "plain",
    }
    made = {
        handler: beside.make_function(f"{NAME}-{handler}", handler, role, variables)
        for handler in ("accept", "keep", "announce", "post")
    }
    _subscribe(clients, topic, alerts)
    for handler, queue in (("keep", events), ("announce", changes), ("post", alerts)):
        clients["lambda"].create_event_source_mapping(
            FunctionName=made[handler],
            EventSourceArn=_arn_of(clients, queue),
            BatchSize=1 if handler == "post" else 10,
        )
    base, log = beside.make_api(made["accept"], ["track"]), f"/aws/lambda/{NAME}-accept"
    bare = Chain(BARE, base, "none", log, (events, changes, alerts), NAME, f"{BARE}/")
    return bare, replace(bare, name=SAFE, says=f"{SAFE}/", marks={"safe": True})


def _subscribe(clients: dict[str, Any], topic: str, queue: str) -> None:
    arn = _arn_of(clients, queue)
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    clients["sqs"].set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})


def _arn_of(clients: dict[str, Any], queue: str) -> str:
    answer = clients["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def measure_all(bench: Bench, chains: Sequence[Chain], leads: Sequence[str]) -> dict[str, list[Run]]:
    """Return what was measured by chain; the first runs start the functions' processes and do not count."""
    measured: dict[str, list[Run]] = {chain.name: [] for chain in chains}
    for run, lead in enumerate(leads):
        turn = run % len(chains)
        for chain in (*chains[turn:], *chains[:turn]):
            taken = bench.measure(chain, lead)
            if run >= WARM_UPS:
                measured[chain.name].append(taken)
    for chain in chains:
        posts = [len(bench.posts(chain, lead)) for lead in leads]
        if posts != [1] * len(leads):
            raise RuntimeError(f"{chain.name} posted {sum(posts)} times for {len(leads)} events")
    return measured


def print_results(start: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """Print what each chain took, and how many times as long ours did."""
    runs = len(seconds[OURS])
    print(f"\nfrom {start} to the request at Slack, ms: {runs} runs of each, in turns")
    print(f"{'':18}{'median':>8}{'p90':>8}{'fastest':>10}{'slowest':>10}")
    for name, taken in seconds.items():
        ordered = sorted(each * 1000 for each in taken)
        print(f"{name:18}{median(ordered):8.0f}{ordered[int(runs * 0.9)]:8.0f}{ordered[0]:10.0f}{ordered[-1]:10.0f}")
    for name in (BARE, SAFE):
        ratios = sorted(ours / bare for ours, bare in zip(seconds[OURS], seconds[name], strict=True))
        half = f"half of the single runs from {ratios[runs // 4]:.2f} to {ratios[runs * 3 // 4]:.2f}"
        print(f"ours / {name}: {median(seconds[OURS]) / median(seconds[name]):.2f} of the medians, {half}")


def main() -> None:
    """Deploy both, measure, and end with an error if an event was not posted, or was twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--resting", action="store_true", help="let the emulator rest, as it does otherwise")
    parser.add_argument("--same-clients", action="store_true", help="give the bare chain the settings of our clients")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        routes = f"alert_routes={HERE / 'alert_routes.yaml'}"
        stage = LocalStage(
            find_project(),
            Path(folder) / "state",
            print,
            outlives_this_process=False,
            context=(routes,),
            rests=chosen.resting,
        )
        stack = stage.up()
        opened.callback(stage.down)
        services = ("apigateway", "dynamodb", "iam", "lambda", "logs", "sns", "sqs", "ssm")
        clients = open_clients(opened, stack.endpoint_url, services)
        bench = Bench(opened.enter_context(running_slack()), clients["sqs"], clients["logs"])
        bare, safe = deploy_bare(clients, stack.endpoint_url, bench.fake, same_clients=chosen.same_clients)
        leads = [f"Latency-{run:03}" for run in range(chosen.runs + WARM_UPS)]
        ours = prepare_ours(stack, clients, bench, leads)
        measured = measure_all(bench, (ours, bare, safe), leads)
        accepted = {chain.name: bench.accepted(chain, measured[chain.name]) for chain in (ours, bare, safe)}
        starts = {
            "the accepted event": accepted,
            "the request that brought it": {name: [run.sent for run in runs] for name, runs in measured.items()},
            "the answer to that": {name: [run.answered for run in runs] for name, runs in measured.items()},
        }
        for start, begun in starts.items():
            pairs = {name: zip(runs, begun[name], strict=True) for name, runs in measured.items()}
            print_results(start, {name: [run.arrived - at for run, at in each] for name, each in pairs.items()})


if __name__ == "__main__":
    main()
