"""The front door of the deployed stack under what wears others down: bombs, full batches, and people's data in logs."""

from __future__ import annotations

import gzip
import json
import urllib.parse
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadscore.normalising import MAX_EVENT_BYTES
from leadscore_cli.api_client import ApiError
from leadscore_cli.log_lines import read_log
from tests.e2e.deployed import Stack, eventually, logged
from tests.e2e.test_bus import FOREIGN, put, stripe
from tests.e2e.test_local_stage import post
from tests.e2e.test_main_road import lead_with_score, messages_in, put_on_queue, queue_is_empty, stored_items

MIB = 1024 * 1024
# Of everything that is sent here about a person, each has this in it.
PERSON = "zebulon"
MAIL = f"{PERSON}.quux@personal.example"


def bomb(mebibytes: int) -> bytes:
    """Return a gzip of so much of nothing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(b"0" * MIB) for _ in range(mebibytes)), packer.flush()])


BOMBS = {
    "10 MB of zeros": (b"0" * (10 * MIB), {}),
    "10 MB in 10 kB": (bomb(10), {}),
    "1 GB in 1 MB": (bomb(1024), {}),
    "10 MB in 10 kB, and says so": (bomb(10), {"Content-Encoding": "gzip"}),
    "1 GB in 1 MB, and says so": (bomb(1024), {"Content-Encoding": "gzip"}),
}


def worker_peaks(stack: Stack, name: str) -> dict[int, int]:
    """Return the most memory in bytes that each process of a function has had, by its pid."""
    wanted = f"AWS_LAMBDA_FUNCTION_NAME={stack.names.functions[name]}".encode()
    return {pid: peak for pid, (environment, peak) in _processes(stack) if wanted in environment}


def _processes(stack: Stack) -> Iterator[tuple[int, tuple[list[bytes], int]]]:
    """Yield the environment and the peak of all processes that the emulator has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, StopIteration):
            group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            if group == stack.outputs.pid:
                status = (folder / "status").read_text().splitlines()
                peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
                yield int(folder.name), ((folder / "environ").read_bytes().split(b"\0"), int(peak) * 1024)


def test_a_bomb_is_a_413_and_its_memory_is_bounded(stack: Stack) -> None:
    headers = {"X-Write-Key": stack.outputs.write_key, "Content-Type": "application/json"}
    assert post(f"{stack.names.api}/batch", b'{"batch": []}', headers)[0] == 200
    before = worker_peaks(stack, "ingest")
    assert before

    for name, (body, more) in BOMBS.items():
        status, answer = post(f"{stack.names.api}/batch", body, {**headers, **more})
        assert (name, status) == (name, 413)
        assert answer["code"]
        assert answer["message"]
        # A stranger's, without a key in front, is no dearer.
        assert post(f"{stack.names.api}/batch", body, more)[0] == 413

    after = worker_peaks(stack, "ingest")
    assert before.keys() & after.keys()
    # The body as text, as bytes, and as much of what it holds as is looked at.
    assert max(after.values()) - max(before.values()) < 64 * MIB
    assert post(f"{stack.names.api}/batch", b'{"batch": []}', headers)[0] == 200


def test_five_hundred_events_are_accepted_whole(stack: Stack) -> None:
    lead = "five-hundred"
    events = [{"type": "page", "userId": lead, "messageId": f"{lead}-{n}", "name": f"Page {n}"} for n in range(500)]
    answer = stack.api.send(stack.outputs.write_key, events)
    assert (answer["success"], answer.get("rejected")) == (True, [])
    eventually(lambda: len(stored_items(stack, lead)) >= 500, timeout_seconds=120)
    eventually(lambda: queue_is_empty(stack))
    logged_ids = {text for item in stored_items(stack, lead) for text in _texts(item) if text.startswith(f"{lead}-")}
    assert logged_ids >= {str(event["messageId"]) for event in events}


def _texts(item: dict[str, object]) -> Sequence[str]:
    return json.dumps(item).replace("\\", "").split('"')


def test_an_event_of_the_largest_size_is_scored_and_a_larger_one_is_named(stack: Stack) -> None:
    lead = "thirty-two-kilobytes"
    page = {"type": "page", "userId": lead, "properties": {"path": "/pricing", "text": ""}}
    fitting, larger = ({**page, "properties": {"path": "/pricing", "text": "x" * size}} for size in (32_000, 33_000))
    assert MAX_EVENT_BYTES == 32 * 1024
    answer = stack.api.send(stack.outputs.write_key, [larger, fitting])
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [(0, "event_too_large")]
    assert eventually(lambda: lead_with_score(stack, lead, 15.0))


def send_a_persons_traffic(stack: Stack) -> None:
    """Send what is taken, what is rejected and what is broken, all of it about one person."""
    key = {"X-Write-Key": stack.outputs.write_key}
    traits = {"email": MAIL, "name": PERSON, "phone": f"+43 {PERSON}"}
    good = {"type": "identify", "userId": f"{PERSON}-1", "anonymousId": f"{PERSON}-device", "traits": traits}
    bad = [
        {**good, "type": PERSON},
        {**good, "timestamp": MAIL},
        {**good, "userId": {MAIL: PERSON}},
        {**good, "traits": {"a": [[[[MAIL]] * 2] * 2], MAIL * 20: 1}},
        {**good, "traits": MAIL},
    ]
    stack.api.send(stack.outputs.write_key, [good, *bad])
    door, mail = stack.names.api, urllib.parse.quote(MAIL)
    for path, body, headers in (
        ("batch", MAIL.encode(), key),
        ("batch", gzip.compress(MAIL.encode()) + b"tail", key),
        ("batch", b'{"batch": "' + MAIL.encode() + b'"}', key),
        ("track", json.dumps({"userId": PERSON, "event": 7, "traits": traits}).encode(), key),
        ("batch", json.dumps({"batch": [good], "writeKey": MAIL}).encode(), {}),
        (f"batch?email={mail}", b"{}", {"X-Write-Key": PERSON, "Referer": f"https://{PERSON}.example/"}),
        (f"{mail}", b"{}", key),
    ):
        assert post(f"{door}/{path}", body, headers)[0] in {400, 401, 403, 404}
    with suppress(ApiError):
        stack.api.lead(MAIL)
    eventually(lambda: lead_with_score(stack, f"{PERSON}-1", 0.0))
    put(stack, "app.web", PERSON, {"userId": f"{PERSON}-1", "email": MAIL})
    put(stack, FOREIGN, PERSON, {"buyer": MAIL})
    broken = json.loads(stripe("customer.subscription.created", MAIL, PERSON, "trialing"))
    broken["detail"]["data"]["object"]["customer"] = [MAIL]
    put_on_queue(stack, json.dumps(broken), f'{{"not json": {MAIL}', json.dumps({"event": MAIL}))


def test_nothing_about_a_person_is_in_any_log(stack: Stack) -> None:
    began = int(datetime.now(UTC).timestamp() * 1000)  # noqa: TID251
    send_a_persons_traffic(stack)
    eventually(lambda: poison_of(stack, 4), timeout_seconds=90)
    stack.api.erase(f"{PERSON}-1")

    for function, reason in (
        ("ingest", "unknown_type"),
        ("ingest", "invalid_timestamp"),
        ("ingest", "unreadable_body"),
        ("ingest", "invalid_write_key"),
        ("score", "unmappable_event"),
        ("score", "unknown_source"),
        ("score", "invalid_json"),
        ("score", "unknown_message"),
    ):
        assert eventually(lambda text=reason, where=function: logged(stack, where, text)), reason  # type: ignore[misc]
    pages = stack.clients.logs.get_paginator("describe_log_groups").paginate()
    groups = {group["logGroupName"]: group["logGroupName"] for page in pages for group in page["logGroups"]}
    lines = read_log(stack.clients.logs, groups, since=began)
    assert set(stack.names.log_groups.values()) <= groups.keys()
    assert [line for line in lines if PERSON in line.text.lower()] == []
    assert [line for line in lines if stack.outputs.write_key in line.text] == []


def poison_of(stack: Stack, number: int) -> bool:
    """Return whether so many messages about the person lie in the dead-letter queue."""
    found = {body for _ in range(5) for body in messages_in(stack, stack.names.events_dlq_url) if PERSON in body}
    return len(found) >= number


@pytest.fixture(autouse=True)
def _sent_again(stack: Stack) -> Iterator[None]:
    """Leave no dead letter about the person behind, for the tests of others."""
    yield
    url = stack.names.events_dlq_url
    while letters := stack.clients.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=2).get(
        "Messages"
    ):
        mine = [letter for letter in letters if PERSON in letter["Body"]]
        for letter in mine:
            stack.clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
        if not mine:
            return
