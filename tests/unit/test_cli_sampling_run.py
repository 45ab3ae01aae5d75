"""A sample of a stage that parallel processes take is the one that a single pass over all leads gives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore import xform_name
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.core.instants import DAY, from_datetime, parse_instant
from leadscore.learning.sampling import Sample, Sampler, Sampling
from leadscore.usecases.histories import History
from leadscore_cli import sampling_run
from leadscore_cli.aws import local_session
from leadscore_cli.failures import CommandError
from leadscore_cli.outputs import Deployment
from leadscore_cli.sample_company import SampleCompany, sample_ruleset
from leadscore_cli.sampling_run import Order, sample_segment, take_sample
from leadscore_cli.target import Target
from tests.contract.leads_table import TABLE, create_leads_table
from tests.unit.test_cli_outputs import CDK_OUTPUTS

# The processes reach the table of this one through the loopback.
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

COMPANY = SampleCompany(30, datetime(2026, 11, 1, tzinfo=UTC), seed=3, base_rate=0.6)
RULES = parse_ruleset(sample_ruleset())
OTHERS = parse_ruleset(sample_ruleset({"pricing-page": 1, "blog-page": 0}))
NOW = from_datetime(COMPANY.until)
# The stage keeps 400 days of events.
SAMPLING = Sampling(RULES, NOW, 10 * DAY, seed=5, against=OTHERS, horizon=NOW - 400 * DAY)


def target(endpoint_url: str | None, table: str = TABLE) -> Target:
    deployment = Deployment.from_cdk("local", "us-east-1", {**CDK_OUTPUTS, "TableName": table})
    return Target(deployment, local_session(), endpoint_url, None)


def fill_table(sampling: Sampling = SAMPLING) -> Sample:
    """Write the log of the company; return what one pass over it gives."""
    create_leads_table()
    store = DynamoStore(boto3.client("dynamodb"), TABLE, shards=1, retention_days=400)
    logs: dict[str, list[dict[str, object]]] = {}
    for event in COMPANY.events():
        logs.setdefault(f"user:{event['userId']}", []).append(event)
    sampler = Sampler(sampling)
    for lead, events in logs.items():
        store.put_events(lead, events)
        sampler.add(History(lead, events, [], None))
    return sampler.sample()


@contextmanager
def served() -> Iterator[str]:
    """Give the address at which other processes reach this one's DynamoDB."""
    client = boto3.client("dynamodb")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            operation = xform_name(str(self.headers["X-Amz-Target"]).partition(".")[2])
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, answer = 200, getattr(client, operation)(**body)
            except client.exceptions.ResourceNotFoundException as problem:
                status, answer = 400, {"__type": "ResourceNotFoundException", "message": str(problem)}
            text = json.dumps({key: value for key, value in answer.items() if key != "ResponseMetadata"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_processes_together_take_the_sample_that_one_pass_gives(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling_run, "SEGMENTS", 5)
    with mock_aws():
        whole = fill_table()
        with served() as address:
            taken = take_sample(target(address), SAMPLING, processes=2)
    assert taken == whole
    assert json.dumps(taken.to_dict()) == json.dumps(whole.to_dict())
    assert whole.leads == 30
    assert whole.grouped().conversions > 0
    assert whole.omitted["older than the log"] > 0
    assert capfd.readouterr() == ("", "")


def test_of_a_log_that_has_ended_the_sample_is_as_of_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_run, "SEGMENTS", 2)
    later = replace(SAMPLING, now=NOW + 8 * DAY)
    with mock_aws():
        newest = max(parse_instant(str(event["timestamp"])) for event in COMPANY.events())
        whole = fill_table(replace(SAMPLING, now=newest, horizon=later.now - 400 * DAY))
        with served() as address:
            taken = take_sample(target(address), later, processes=1)
    assert taken == whole
    assert taken.key.now == newest < NOW


def test_segments_are_of_the_account_that_the_environment_names() -> None:
    with mock_aws():
        whole = fill_table()
        order = Order.of(SAMPLING, target(None))
        parts = [sample_segment(order, segment, 3) for segment in range(3)]
    assert parts[0].merge(*parts[1:]) == whole
    assert all(part.leads < whole.leads for part in parts)


def test_an_order_is_of_the_same_sampling() -> None:
    order = Order.of(SAMPLING, target(None))
    assert order.sampling.key == SAMPLING.key
    alone = Sampling(RULES, 5, 6, 7, "qualified", half_lives=True, horizon=8)
    assert Order.of(alone, target(None)).sampling.key == alone.key


def end_this_process(*_arguments: object) -> None:
    os._exit(9)


def test_a_process_that_was_ended_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_run, "SEGMENTS", 2)
    monkeypatch.setattr(sampling_run, "sample_segment", end_this_process)
    with pytest.raises(CommandError, match="a process that reads the log was ended, likely for want of memory"):
        take_sample(target(None), SAMPLING, processes=1)


def test_a_table_that_cannot_be_read_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_run, "SEGMENTS", 2)
    with mock_aws(), served() as address, pytest.raises(CommandError, match="the table nowhere cannot be read"):
        take_sample(target(address, "nowhere"), SAMPLING, processes=1)
