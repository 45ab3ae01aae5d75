"""Twenty workers at once on the deployed stack: whatever the order, the repeats and the joins, the state is right."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from botocore.config import Config

from leadscore import State, advance, parse_ruleset
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.state import says_the_same
from leadscore_cli import truth_commands
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually
from tests.e2e.test_main_road import queue_is_empty
from tests.e2e.test_rebuild import verified
from tests.simulation.checking import find_truth

WORKERS, EVENTS, PEOPLE, BATCH = 20, 2_000, 100, 2
NOW = datetime.now(UTC)  # noqa: TID251
TITLES = ("CEO", "VP Sales", "Engineer", None)


def make_crowd(chance: random.Random) -> list[dict[str, object]]:
    """Return events of a hundred people, each with two devices of which one is shared with a neighbour."""
    return [_event(chance, number) for number in range(EVENTS)]


def _event(chance: random.Random, number: int) -> dict[str, object]:
    person = chance.randrange(PEOPLE)
    device = f"crowd-device-{chance.choice((person, person, (person + 1) % PEOPLE))}"
    ids: dict[str, object] = {"userId": f"crowd-{person}", "anonymousId": device}
    if chance.random() < 0.7:
        del ids[chance.choice(list(ids))]
    at = format_instant(from_datetime(NOW - timedelta(minutes=chance.randrange(20_000))))
    stamp = {"messageId": f"crowd-{number}", "timestamp": at, "receivedAt": at}
    return {**stamp, **ids, **_content(chance)}


def _content(chance: random.Random) -> dict[str, object]:
    roll = chance.random()
    if roll < 0.2:
        company = {"employees": chance.choice((20, 300))}
        return {"type": "identify", "traits": {"title": chance.choice(TITLES), "company": company}}
    if roll < 0.25:
        return {"type": "group", "groupId": f"crowd-account-{chance.randrange(10)}", "traits": {"plan": "team"}}
    if roll < 0.6:
        return {"type": "page", "properties": {"path": chance.choice(("/pricing", "/", "/docs"))}}
    return {"type": "track", "event": chance.choice(("Trial Started", "Webinar Attended", "Clicked"))}


def _record(number: int, event: dict[str, object]) -> dict[str, object]:
    body = json.dumps({"event": event, "source": "crowd"})
    return {"messageId": str(number), "body": body, "attributes": {"ApproximateReceiveCount": "1"}}


@pytest.fixture
def reader(stack: Stack) -> Iterator[DynamoReader]:
    url = stack.outputs.endpoint_url
    with closing(stack.session.client("dynamodb", endpoint_url=url, config=Config(proxies={}))) as client:
        yield DynamoReader(client, stack.names.table, shards=2, retention_days=400)


def score_amid_redeliveries(stack: Stack, arriving: Sequence[dict[str, object]], chance: random.Random) -> None:
    """Hand batches to twenty copies of `score` at once, some of them twice, and what failed until it does not."""
    batches = [list(arriving[start : start + BATCH]) for start in range(0, len(arriving), BATCH)]
    batches += chance.sample(batches, len(batches) // 10)
    chance.shuffle(batches)
    config = Config(proxies={}, max_pool_connections=WORKERS, read_timeout=120)
    url = stack.outputs.endpoint_url
    with closing(stack.session.client("lambda", endpoint_url=url, config=config)) as lambdas:

        def deliver(batch: Sequence[dict[str, object]]) -> None:
            records = [_record(number, event) for number, event in enumerate(batch)]
            if not take(records):
                # It ran out of time amid the batch, on a machine this busy: each message comes again alone.
                for record in records:
                    again = {**record, "attributes": {"ApproximateReceiveCount": "2"}}
                    eventually(lambda again=again: take([again]), timeout_seconds=300)  # type: ignore[misc]

        def take(records: Sequence[dict[str, object]]) -> bool:
            """Hand a batch to `score`; return whether all of it was done."""
            function = stack.names.functions["score"]
            answer = lambdas.invoke(FunctionName=function, Payload=json.dumps({"Records": records}))
            with closing(answer["Payload"]) as payload:
                content = json.load(payload)
            return bool(content.get("batchItemFailures") == [])

        with ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(deliver, batches))


def test_twenty_workers_leave_the_pure_function_of_the_events(
    stack: Stack, reader: DynamoReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(20)
    events = make_crowd(chance)
    arriving = events + chance.sample(events, EVENTS // 10)
    chance.shuffle(arriving)
    score_amid_redeliveries(stack, arriving, chance)
    eventually(lambda: queue_is_empty(stack), timeout_seconds=300)

    rules = parse_ruleset(stack.clients.ssm.get_parameter(Name=stack.names.ruleset_parameter)["Parameter"]["Value"])
    truth = find_truth(rules, events)
    stored = reader.load_identities([*truth.logs, *truth.owners])
    owners = {name: one.owner.owner for name, one in stored.items() if one.owner is not None}
    assert owners == truth.owners
    for root, log in truth.leads().items():
        body = stored[root].body
        state = advance(State.empty(rules), log)
        kept = State.from_json(rules, body.state) if body is not None else State.empty(rules)
        assert says_the_same(kept, state), root
    target = choose_target("local", stack.stage.directory)
    monkeypatch.setattr(truth_commands, "target_of_project", lambda _stage: target)
    assert eventually(lambda: not any("crowd" in lead for lead in verified()), timeout_seconds=120)
