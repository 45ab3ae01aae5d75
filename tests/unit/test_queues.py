"""The SQS adapter: how it cuts requests, which failures it tries again, and that it never loses a message silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from leadscore.adapters.queues import ATTEMPTS, MAX_REQUEST_BYTES, QueueError, SqsQueue

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
    assert [len(request) for request in client.requests] == [10, 10, 5]
    assert [body for request in client.requests for body in request] == [str(number) for number in range(25)]


def test_nothing_to_send_is_no_request() -> None:
    client, queue = scripted()
    queue.send_all([])
    assert client.requests == []


def test_requests_hold_a_mebibyte_at_most_counted_in_bytes() -> None:
    client, queue = scripted()
    half = "é" * (MAX_REQUEST_BYTES // 4)
    queue.send_all([half, half, "x", "y"])
    assert [len(request) for request in client.requests] == [2, 2]


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
