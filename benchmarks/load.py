"""Requests by the thousand at the deployed front door, beside a function that only sends to SQS; and both cold starts.

Run `python -m benchmarks.load` while nothing else runs; it takes about five minutes. One emulator holds both: the app,
and `benchmarks/bare` behind a REST API of the same kind, with a queue of its own. Several client processes send in
turns to the one and to the other, so that a machine that is slower for a while is so for both. While they send, `score`
takes nothing off the queue: it would work on the same two cores, and nobody works off the bare function's queue. It
is let go afterwards, until every event that was accepted is in the log, and nothing else.

A cold start is a fresh process as Lambda makes it: the interpreter, the built asset, its import, and the first call,
which for `ingest` also reads the write keys. Both talk to the same emulator.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.beside import ACCOUNT, Beside, open_clients
from infra.bundling import bundle_function, bundle_layer
from leadscore_cli.aws import local_environment
from leadscore_cli.local_stage import LocalStage
from leadscore_cli.outputs import LocalOutputs
from leadscore_cli.project import find_project
from tests.functions.envelopes import proxy_event
from tests.package.built import CleanInterpreter, lay_out_runtime

ROOT = Path(__file__).parents[1]
CLIENTS = 4
BATCH = 100
LEADS = 200
ROUNDS = 11
# Requests of one client in one round.
SINGLES, BATCHES = 25, 2
COLD_STARTS = 15
STORED_SECONDS = 1200
OURS, BARE = "ingest", "bare"
BARE_NAME = "load-bare"


class Door(NamedTuple):
    """Where requests go: both doors are on one port of the emulator."""

    name: str
    base: str
    key: str


class Shot(NamedTuple):
    """What one client saw in one round: when it began and ended, and how long each answer took, all in seconds."""

    began: float
    ended: float
    waits: Sequence[float]
    accepted: int


@dataclass(frozen=True, slots=True)
class Round:
    """One door's turn: requests and events in so many seconds."""

    seconds: float
    requests: int
    events: int
    waits: Sequence[float]


def make_event(name: str) -> dict[str, object]:
    """Return a page view as a browser SDK sends it, of about 600 bytes."""
    lead = f"load-{sum(name.encode()) % LEADS}"
    page = {"path": "/docs/start", "url": "https://www.acme.example/docs/start", "title": "Getting started"}
    return {
        "type": "page",
        "messageId": name,
        "userId": lead,
        "anonymousId": f"{lead}-device",
        "name": "Docs",
        "properties": {**page, "referrer": "https://search.example/", "width": 1440},
        "context": {"library": {"name": "analytics.js", "version": "npm:next-1.84.0"}, "locale": "en-GB", "page": page},
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
    }


def send_all(door: Door, name: str, requests: int, batch: int, start: Any) -> Shot:
    """Send so many requests of so many events over one connection, from the moment that all clients are ready."""
    target = urlsplit(door.base)
    connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
    path = f"{target.path}/{'batch' if batch > 1 else 'page'}"
    headers = {"Content-Type": "application/json", "Authorization": "Basic " + _basic(door.key)}
    bodies = [_body(f"{name}-{number}", batch) for number in range(requests)]
    connection.connect()
    waits, accepted = [], 0
    start.wait()
    began = time.monotonic()
    for body in bodies:
        asked = time.monotonic()
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != 200 or content.get("rejected"):
            raise RuntimeError(f"{door.name} answered {answer.status}: {content}")
        waits.append(time.monotonic() - asked)
        accepted += int(content.get("accepted", batch))
    ended = time.monotonic()
    connection.close()
    return Shot(began, ended, waits, accepted)


def _body(name: str, batch: int) -> bytes:
    if batch == 1:
        return json.dumps(make_event(name)).encode()
    return json.dumps({"batch": [make_event(f"{name}-{place}") for place in range(batch)]}).encode()


def _basic(key: str) -> str:
    return b64encode(f"{key}:".encode()).decode()


class Clients:
    """Client processes that send at the same time; monotonic clocks of one machine are one clock."""

    def __init__(self, pool: Any, barrier: Any) -> None:
        self._pool = pool
        self._barrier = barrier

    def send(self, door: Door, name: str, requests: int, batch: int) -> Round:
        """Let every client send so many requests."""
        work = [(door, f"{name}-{client}", requests, batch, self._barrier) for client in range(CLIENTS)]
        shots = self._pool.starmap(send_all, work, chunksize=1)
        seconds = max(shot.ended for shot in shots) - min(shot.began for shot in shots)
        waits = [wait for shot in shots for wait in shot.waits]
        return Round(seconds, len(waits), sum(shot.accepted for shot in shots), waits)


def measure_throughput(doors: Sequence[Door], rounds: int) -> int:
    """Print requests and events a second of both doors, in turns; return how many events ours accepted."""
    run = f"load-{int(time.monotonic())}"
    accepted = 0
    with multiprocessing.get_context("spawn").Manager() as manager:
        barrier = manager.Barrier(CLIENTS)
        with multiprocessing.get_context("spawn").Pool(CLIENTS) as pool:
            clients = Clients(pool, barrier)
            for title, requests, batch in (("single events", SINGLES, 1), (f"batches of {BATCH}", BATCHES, BATCH)):
                results: dict[str, list[Round]] = {door.name: [] for door in doors}
                for turn in range(rounds + 1):
                    for door in doors if turn % 2 else reversed(doors):
                        done = clients.send(door, f"{run}-{batch}-{turn}", requests, batch)
                        accepted += done.events if door.name == OURS else 0
                        # The first turn starts the functions' processes.
                        if turn:
                            results[door.name].append(done)
                _print_throughput(title, results)
    return accepted


def _print_throughput(title: str, results: dict[str, list[Round]]) -> None:
    print(f"\n{title}: {CLIENTS} clients, medians of {len(results[OURS])} rounds")
    print(f"{'':8}{'requests/s':>12}{'events/s':>12}{'median ms':>12}{'p95 ms':>12}")
    for name, rounds in results.items():
        waits = sorted(wait * 1000 for each in rounds for wait in each.waits)
        figures = (
            median(each.requests / each.seconds for each in rounds),
            median(each.events / each.seconds for each in rounds),
            median(waits),
            waits[int(len(waits) * 0.95)],
        )
        print(f"{name:8}" + "".join(f"{figure:12.1f}" for figure in figures))
    pairs = zip(results[OURS], results[BARE], strict=True)
    ratios = sorted(bare.seconds / ours.seconds for ours, bare in pairs)
    print(f"throughput of ingest / bare: {median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


@contextmanager
def score_resting(stack: LocalOutputs, lambdas: Any) -> Iterator[None]:
    """Let `score` take nothing off its queue meanwhile."""
    function = stack.deployment.functions["score"]
    [mapping] = lambdas.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def count_stored(dynamodb: Any, table: str) -> int:
    """Return how many events of this run are in the log."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        ConsistentRead=True,
        Select="COUNT",
        FilterExpression="begins_with(sk, :event)",
        ExpressionAttributeValues={":event": {"S": "EVENT#load-"}},
    )
    return sum(page["Count"] for page in pages)


def print_stored(stack: LocalOutputs, clients: dict[str, Any], accepted: int) -> None:
    """Wait until the queue is empty and print that what was accepted is stored, to the event."""
    names, deadline, began = stack.deployment, time.monotonic() + STORED_SECONDS, time.monotonic()
    while not _is_empty(clients["sqs"], names.events_queue_url):
        if time.monotonic() > deadline:
            raise RuntimeError("the queue is not worked off")
        time.sleep(1)
    stored = count_stored(clients["dynamodb"], names.table)
    dead = not _is_empty(clients["sqs"], names.events_dlq_url)
    print(f"\naccepted {accepted:,}, stored {stored:,}, {time.monotonic() - began:.0f} s after the last answer")
    if stored != accepted or dead:
        raise RuntimeError("what was accepted is not what is stored")


def _is_empty(sqs: Any, url: str) -> bool:
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return bool(counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0")


def deploy_bare(clients: dict[str, Any], endpoint: str) -> tuple[Door, str]:
    """Create the bare function with a queue, a role and a REST API of its own; return its door and its queue."""
    queue = clients["sqs"].create_queue(QueueName=BARE_NAME)["QueueUrl"]
    beside = Beside(clients, endpoint, BARE_NAME, ROOT / "benchmarks" / "bare" / "handler.py")
    role = beside.make_role(
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:{ACCOUNT}:{BARE_NAME}"}
    )
    function = beside.make_function(BARE_NAME, "handler", role, {"QUEUE_URL": queue})
    return Door(BARE, beside.make_api(function, ["page", "batch"]), "none"), queue


# The call is timed inside as well: what is left is the interpreter and the import.
START = """
import json, sys, time
sys.path[:0] = {paths}
envelope = json.loads(sys.stdin.read())
began = time.process_time()
import handler
imported = time.process_time()
class Context:
    function_name, memory_limit_in_mb, aws_request_id = "x", 512, "00000000-0000-0000-0000-000000000000"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:x"
answer = handler.handler(envelope, Context)
print()
print(json.dumps([answer["statusCode"], imported - began, time.process_time() - imported]))
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One cold start in seconds: by the clock from process start to answer, and in processor time of its parts."""

    wall: float
    importing: float
    calling: float


class Starter:
    """Starts one function afresh, as often as wanted, in an environment that is Lambda's."""

    def __init__(self, clean: CleanInterpreter, folders: Sequence[Path], variables: dict[str, str]) -> None:
        paths = json.dumps([str(folder) for folder in (*folders, clean.runtime)])
        self._arguments = [sys.executable, "-I", "-S", "-c", START.format(paths=paths)]
        self._environment = {**local_environment(), **variables, "PATH": os.defpath}

    def start(self, envelope: dict[str, Any]) -> Start:
        """Start it once and let it answer one request."""
        began = time.perf_counter()
        done = subprocess.run(
            self._arguments,
            env=self._environment,
            input=json.dumps(envelope),
            capture_output=True,
            text=True,
            check=True,
        )
        wall = time.perf_counter() - began
        status, importing, calling = json.loads(done.stdout.splitlines()[-1])
        if status != 200:
            raise RuntimeError(f"it answered {status}")
        return Start(wall, importing, calling)


def measure_cold_starts(stack: LocalOutputs, queue: str, lambdas: Any, times: int) -> None:
    """Print what a fresh process takes until its first answer, both functions in turn."""
    endpoint = {"AWS_ENDPOINT_URL": stack.endpoint_url}
    function = stack.deployment.functions["ingest"]
    ours = lambdas.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    body = json.dumps(make_event("cold-start"))
    envelope = proxy_event("/page", body, headers={"Authorization": "Basic " + _basic(stack.write_key)})
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as built:
        clean = lay_out_runtime(Path(folder))
        compiled = Path(built) / "handler.py"
        compiled.write_bytes((ROOT / "benchmarks" / "bare" / "handler.py").read_bytes())
        layer = bundle_layer(ROOT).path / "python"
        starters = {
            OURS: Starter(clean, [bundle_function(ROOT, "ingest").path, layer], {**ours, **endpoint}),
            BARE: Starter(clean, [compiled.parent], {"QUEUE_URL": queue, **endpoint}),
        }
        starts: dict[str, list[Start]] = {name: [] for name in starters}
        for turn in range(times + 1):
            for name, starter in starters.items():
                start = starter.start(envelope)
                # The first writes what bytecode is missing.
                if turn:
                    starts[name].append(start)
    print(f"\ncold start: medians of {times} fresh processes, ms")
    print(f"{'':8}{'to the answer':>15}{'import, CPU':>15}{'first call, CPU':>17}")
    for name, all_of in starts.items():
        parts = ([s.wall for s in all_of], [s.importing for s in all_of], [s.calling for s in all_of])
        figures = [median(part) for part in parts]
        print(f"{name:8}{figures[0] * 1000:15.0f}{figures[1] * 1000:15.0f}{figures[2] * 1000:17.0f}")
    pairs = list(zip(starts[OURS], starts[BARE], strict=True))
    wall = median(one.wall / other.wall for one, other in pairs)
    cpu = median((one.importing + one.calling) / (other.importing + other.calling) for one, other in pairs)
    print(f"cold start of ingest / bare: {wall:.2f} by the clock, {cpu:.2f} in processor time")


def main() -> None:
    """Deploy both, measure, and end with an error if an accepted event is not stored."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cold-starts", type=int, default=COLD_STARTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        stage = LocalStage(find_project(), Path(folder) / "state", print, outlives_this_process=False)
        stack = stage.up()
        opened.callback(stage.down)
        services = ("apigateway", "dynamodb", "iam", "lambda", "sqs")
        clients = open_clients(opened, stack.endpoint_url, services)
        bare, queue = deploy_bare(clients, stack.endpoint_url)
        api = f"{stack.endpoint_url}/_aws/execute-api/{stack.deployment.api_id}/v1"
        with score_resting(stack, clients["lambda"]):
            accepted = measure_throughput([Door(OURS, api, stack.write_key), bare], chosen.rounds)
            measure_cold_starts(stack, queue, clients["lambda"], chosen.cold_starts)
        print_stored(stack, clients, accepted)


if __name__ == "__main__":
    main()
