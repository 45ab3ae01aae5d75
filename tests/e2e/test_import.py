"""History on the deployed stack: archives are imported, interrupted, resumed and repeated, and nobody is told."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from typer.testing import CliRunner, Result

from leadscore import State, advance, parse_ruleset
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.queues import SqsQueue
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.state import says_the_same
from leadscore_cli import import_command, main, truth_commands
from leadscore_cli.demo import Alert, Inbox
from leadscore_cli.target import choose_target
from tests.e2e.deployed import ARCHIVE_BUCKET, Stack, eventually
from tests.e2e.test_main_road import alerts_of, inbox, lead_with_score, queue_is_empty
from tests.e2e.test_rebuild import verified
from tests.property.archived import SdkEvent, as_lines, in_rudderstacks_archive, in_segments_archive, live
from tests.simulation.checking import find_truth

EVENTS, PEOPLE = 3_000, 150
NOW = datetime.now(UTC)  # noqa: TID251
TITLES = ("CEO", "VP Sales", "Engineer", None)
# Who is told of, and who is not, once something comes live.
WARM, HOT = "past-warm", "past-hot"
Past = tuple[SdkEvent, int]

__all__ = ["inbox"]


def make_past(prefix: str, chance: random.Random, number: int, people: int) -> list[Past]:
    """Return events as SDKs sent them, each with the instant at which it was received."""
    return [_make_event(prefix, chance, each, people) for each in range(number)]


def _make_event(prefix: str, chance: random.Random, number: int, people: int) -> Past:
    person = chance.randrange(people)
    ids: dict[str, Any] = {"userId": f"{prefix}-{person}", "anonymousId": f"{prefix}-device-{person}"}
    if chance.random() < 0.6:
        del ids[chance.choice(list(ids))]
    said: dict[str, Any] = chance.choices(
        (
            {"type": "identify", "traits": {"title": chance.choice(TITLES), "company": {"employees": 300}}},
            {"type": "group", "groupId": f"{prefix}-account-{chance.randrange(10)}", "traits": {"plan": "team"}},
            {"type": "page", "properties": {"path": chance.choice(("/pricing", "/", "/docs"))}},
            {"type": "track", "event": chance.choice(("Trial Started", "Webinar Attended", "Clicked"))},
        ),
        (2, 1, 4, 3),
    )[0]
    return _sent({"messageId": f"{prefix}-{number}", **ids, **said}, days_ago=chance.uniform(0.1, 30))


def _sent(said: dict[str, Any], days_ago: float) -> Past:
    """Return an event that was sent by a clock that is two minutes fast."""
    received = from_datetime(NOW - timedelta(days=days_ago))
    stamps = {"timestamp": format_instant(received + 118_500), "sentAt": format_instant(received + 120_000)}
    return {**said, **stamps}, received


def known_people() -> list[Past]:
    trial = {"type": "track", "event": "Trial Started"}
    fit = {"type": "identify", "traits": {"title": "CEO", "company": {"name": "Past Inc", "employees": 300}}}
    visit = {"type": "page", "properties": {"path": "/pricing"}}
    told: list[tuple[str, dict[str, Any]]] = [(WARM, trial), (WARM, fit), (HOT, trial), (HOT, fit), (HOT, visit)]
    return [
        _sent({"messageId": f"{who}-{number}", "userId": who, **said}, days_ago=5)
        for number, (who, said) in enumerate(told)
    ]


def in_rudderstacks(sent: Past) -> dict[str, Any]:
    event, received = sent
    renamed = {name: value for name, value in event.items() if name != "timestamp"}
    return in_rudderstacks_archive({**renamed, "originalTimestamp": event["timestamp"]}, received)


def write_archives(folder: Path, past: Sequence[Past]) -> None:
    """Write events as SDKs log them, and into files of Segment's and RudderStack's archives, some of them twice."""
    third = len(past) // 3
    logged, segment, rudder = past[:third], past[third : 2 * third], past[2 * third :]
    (folder / "sdk.ndjson").write_bytes(as_lines({**event, "receivedAt": format_instant(at)} for event, at in logged))
    for place, some in enumerate((segment[: third // 2], segment[third // 3 :])):
        path = folder / "segment-logs" / "source" / "1772323200000" / f"{place}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(as_lines(in_segments_archive(event, at) for event, at in some)))
    path = folder / "rudder-logs" / "source" / "2026-03-01" / "1.source.json.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(as_lines(map(in_rudderstacks, rudder)) + b"{broken\n"))


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    for module in (import_command, truth_commands):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)


@pytest.fixture
def reader(stack: Stack) -> Iterator[DynamoReader]:
    url = stack.outputs.endpoint_url
    with closing(stack.session.client("dynamodb", endpoint_url=url, config=Config(proxies={}))) as client:
        yield DynamoReader(client, stack.names.table, shards=2, retention_days=400)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["import", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def is_settled(stack: Stack) -> bool:
    return queue_is_empty(stack)


def check_leads(stack: Stack, reader: DynamoReader, past: Sequence[Past]) -> None:
    """Hold every lead to the pure function of what would have come live."""
    rules = parse_ruleset(stack.clients.ssm.get_parameter(Name=stack.names.ruleset_parameter)["Parameter"]["Value"])
    truth = find_truth(rules, [live(event, received) for event, received in past])
    stored = reader.load_identities([*truth.logs, *truth.owners])
    assert {name: one.owner.owner for name, one in stored.items() if one.owner is not None} == truth.owners
    for root, log in truth.leads().items():
        body = stored[root].body
        kept = State.from_json(rules, body.state) if body is not None else State.empty(rules)
        assert says_the_same(kept, advance(State.empty(rules), log)), root


def interrupt_after(monkeypatch: pytest.MonkeyPatch, sends: int) -> None:
    """Press Ctrl-C when the queue has taken so much."""
    send_all, times = SqsQueue.send_all, [0]

    def send(queue: SqsQueue, bodies: Sequence[str]) -> None:
        send_all(queue, bodies)
        times[0] += 1
        if times[0] == sends:
            raise KeyboardInterrupt

    monkeypatch.setattr(SqsQueue, "send_all", send)


def test_archives_are_imported_resumed_and_repeated_and_nobody_is_told(
    stack: Stack, reader: DynamoReader, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    past = [*make_past("past", chance, EVENTS, PEOPLE), *known_people()]
    chance.shuffle(past)
    archives = tmp_path / "archives"
    archives.mkdir()
    write_archives(archives, past)
    rejects = tmp_path / "rejects.ndjson"
    options = (str(archives), "--progress", str(tmp_path / "progress"), "--rejects", str(rejects))

    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert run(*options).exit_code != 0
    resumed = run(*options, "--json")
    assert resumed.exit_code == 1, resumed.output
    answer = json.loads(resumed.stdout)
    assert (answer["rejected"], answer["skipped_sources"]) == ({"invalid_json": 1}, 0)
    assert 500 < answer["accepted"] < len(past)
    [reject] = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert (reject["code"], reject["text"]) == ("invalid_json", "{broken")
    assert "json.gz:" in resumed.stderr
    assert "{broken" not in resumed.stderr
    assert json.loads(run(*options, "--json").stdout)["accepted"] == 0
    again = json.loads(run(*options, "--anew", "--json").stdout)
    assert again["accepted"] > len(past)

    eventually(lambda: is_settled(stack), timeout_seconds=300)
    check_leads(stack, reader, past)
    assert eventually(lambda: not any("past" in lead for lead in verified()), timeout_seconds=60)
    assert lead_with_score(stack, HOT, 53.0) is not None
    seen: list[Alert] = []
    stack.api.send(stack.outputs.write_key, [visit_of(WARM), visit_of(HOT)])
    [alert] = eventually(lambda: alerts_of(inbox, WARM, seen), timeout_seconds=60)
    assert alert.score == 53.0
    eventually(lambda: is_settled(stack))
    assert [each.lead for each in [*seen, *inbox.receive()] if each.lead.startswith("past")] == [WARM]


def visit_of(lead: str) -> dict[str, object]:
    return {"type": "page", "userId": lead, "messageId": f"{lead}-live", "properties": {"path": "/pricing"}}


@pytest.fixture
def bucket(stack: Stack, tmp_path: Path) -> Iterator[list[Past]]:
    """An archive in S3, under two prefixes of which one is empty; gives what is in it."""
    past = make_past("bucket", random.Random(8), 600, 40)
    url = stack.outputs.endpoint_url
    config = Config(proxies={}, s3={"addressing_style": "path"})
    with closing(stack.session.client("s3", endpoint_url=url, config=config)) as s3:
        s3.create_bucket(Bucket=ARCHIVE_BUCKET)
        write_archives(tmp_path, past)
        for path in sorted(tmp_path.rglob("*")):
            if path.is_file():
                key = f"old/{path.relative_to(tmp_path)}"
                s3.put_object(Bucket=ARCHIVE_BUCKET, Key=key, Body=path.read_bytes())
        yield past


def test_an_archive_in_s3_is_imported_by_the_state_machine_and_from_here(
    stack: Stack, reader: DynamoReader, bucket: list[Past], inbox: Inbox, tmp_path: Path
) -> None:
    imported = run(f"s3://{ARCHIVE_BUCKET}/old/", "--json")
    assert imported.exit_code == 1, imported.output
    answer = json.loads(imported.stdout)
    assert (answer["rejected"], answer["sources"]) == ({"invalid_json": 1}, 4)
    assert answer["accepted"] >= len(bucket)
    eventually(lambda: is_settled(stack), timeout_seconds=200)
    check_leads(stack, reader, bucket)
    logged = stack.clients.logs.filter_log_events(logGroupName=stack.names.log_groups["importer"])["events"]
    [told] = [event["message"] for event in logged if "a line was not imported" in event["message"]]
    assert '"code":"invalid_json"' in told
    assert "broken" not in told

    here = run(f"s3://{ARCHIVE_BUCKET}/old/", "--here", "--json", "--progress", str(tmp_path / "p"))
    assert json.loads(here.stdout)["accepted"] == answer["accepted"]
    nothing = run(f"s3://{ARCHIVE_BUCKET}/new/", "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)["accepted"]) == (0, 0)
    eventually(lambda: is_settled(stack), timeout_seconds=200)
    assert not any("bucket" in lead for lead in verified())
    assert [alert for alert in inbox.receive() if alert.lead.startswith("bucket")] == []
