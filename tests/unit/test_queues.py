"""The SQS adapter: how it cuts requests, which failures it tries again, and that it never loses a message silently."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from leadscore.adapters.clients import sqs_client
from leadscore.adapters.queues import (
    ATTEMPTS,
    MAX_REQUEST_BYTES,
    PARALLEL_REQUESTS,
    QueueError,
    SqsFifoQueue,
    SqsQueue,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

QUEUE_URL = "https://queue.example/events"


class ScriptedSqs:
    """Answers each request by the next line of a script: bodies that fail, or an error to raise."""

    def __init__(self, *script: dict[str, bool] | Exception) -> None:
        self.script: Iterator[dict[str, bool] | Exception] = iter(script)
        self.requests: list[list[str]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == QUEUE_URL
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        self.requests.append([entry["MessageBody"] for entry in Entries])
        step = next(self.script, {})
        if isinstance(step, Exception):
            raise step
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": step[entry["MessageBody"]]}
            for entry in Entries
            if entry["MessageBody"] in step
        ]
        sent = [{"Id": entry["Id"]} for entry in Entries if entry["MessageBody"] not in step]
        return {"Successful": sent, "Failed": failed} if failed else {"Successful": sent}


def scripted(*script: dict[str, bool] | Exception) -> tuple[ScriptedSqs, SqsQueue]:
    client: Any = ScriptedSqs(*script)
    return client, SqsQueue(client, QUEUE_URL)


def test_requests_hold_ten_messages_at_most() -> None:
    client, queue = scripted()
    queue.send_all([str(number) for number in range(25)])
    assert sorted(len(request) for request in client.requests) == [5, 10, 10]
    assert sorted(int(body) for request in client.requests for body in request) == list(range(25))


def test_requests_are_under_way_at_the_same_time() -> None:
    together = threading.Barrier(PARALLEL_REQUESTS, timeout=10)

    class Meeting(ScriptedSqs):
        def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            together.wait()  # one after another, the first would wait in vain
            return super().send_message_batch(QueueUrl=QueueUrl, Entries=Entries)

    client: Any = Meeting()
    SqsQueue(client, QUEUE_URL).send_all([str(number) for number in range(10 * PARALLEL_REQUESTS)])
    assert len(client.requests) == PARALLEL_REQUESTS


def test_no_more_connections_are_used_than_a_client_keeps_open() -> None:
    config: Any = sqs_client().meta.config
    assert config.max_pool_connections >= PARALLEL_REQUESTS


@pytest.mark.parametrize("at", [0, 3, 49])
def test_one_request_of_many_that_fails_is_an_error(at: int) -> None:
    """Whichever of the fifty it is: whoever sends them sends all again."""

    class Failing(ScriptedSqs):
        def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            if str(10 * at) in [entry["MessageBody"] for entry in Entries]:
                raise EndpointConnectionError(endpoint_url=QueueUrl)
            return super().send_message_batch(QueueUrl=QueueUrl, Entries=Entries)

    client: Any = Failing()
    with pytest.raises(QueueError):
        SqsQueue(client, QUEUE_URL).send_all([str(number) for number in range(500)])
    assert len(client.requests) < 50


def test_a_message_that_is_too_large_stops_its_neighbours_before_any_is_sent() -> None:
    client, queue = scripted()
    with pytest.raises(QueueError):
        queue.send_all([*map(str, range(20)), "x" * (MAX_REQUEST_BYTES + 1)])
    assert client.requests == []


def test_nothing_to_send_is_no_request() -> None:
    client, queue = scripted()
    queue.send_all([])
    assert client.requests == []


def test_requests_hold_a_mebibyte_at_most_counted_in_bytes() -> None:
    client, queue = scripted()
    half = "é" * (MAX_REQUEST_BYTES // 4)
    queue.send_all([half, half, "x", "y"])
    assert sorted(client.requests) == sorted([[half, half], ["x", "y"]])


def test_a_message_that_no_queue_takes_is_an_error() -> None:
    _, queue = scripted()
    with pytest.raises(QueueError):
        queue.send_all(["x" * (MAX_REQUEST_BYTES + 1)])


def test_only_the_messages_that_failed_are_sent_again() -> None:
    client, queue = scripted({"b": False, "c": False}, {"c": False})
    queue.send_all(["a", "b", "c"])
    assert client.requests == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_a_message_that_keeps_failing_is_an_error_after_bounded_attempts() -> None:
    client, queue = scripted(*[{"b": False}] * 10)
    with pytest.raises(QueueError):
        queue.send_all(["a", "b"])
    assert len(client.requests) == ATTEMPTS


def test_a_message_that_is_our_fault_is_not_sent_again() -> None:
    client, queue = scripted({"b": True})
    with pytest.raises(QueueError):
        queue.send_all(["a", "b"])
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch"),
        EndpointConnectionError(endpoint_url="https://queue.example"),
    ],
)
def test_a_request_that_failed_is_a_queue_error_with_its_cause(error: Exception) -> None:
    _, queue = scripted(error)
    with pytest.raises(QueueError) as caught:
        queue.send_all(["a"])
    assert caught.value.__cause__ is error


def test_sqs_takes_what_the_adapter_sends() -> None:
    with mock_aws():
        client: SQSClient = boto3.client("sqs")
        url = client.create_queue(QueueName="events")["QueueUrl"]
        bodies = [f"{number}:" + "x" * 150_000 for number in range(12)]
        SqsQueue(client, url).send_all(bodies)
        received: list[str] = []
        while found := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            received += [message["Body"] for message in found]
    assert sorted(received) == sorted(bodies)


def test_many_messages_of_a_fifo_queue_all_arrive() -> None:
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="changes.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        SqsFifoQueue(sqs, url).send_all([str(number) for number in range(35)])
        seen: list[int] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            seen += [int(message["Body"]) for message in messages]
    assert sorted(seen) == list(range(35))


def test_equal_messages_of_a_fifo_queue_are_worked_on_one_after_another_and_none_is_dropped() -> None:
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="changes.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        SqsFifoQueue(sqs, url).send_all(["ada", "bob", "ada"])
        seen = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages"):
            seen.append(messages[0])
        assert sorted(message["Body"] for message in seen) == ["ada", "bob"]
        for message in seen:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert [m["Body"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]] == ["ada"]
