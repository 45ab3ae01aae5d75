"""The way into an SQS queue, for both that Leadscore has: all messages or an error, never a silent part.

    bodies -> requests of at most 10 entries and 1 MiB -> send -> some entries failed -> send those again, at most twice

Requests are under way at the same time, in no order: a batch of 500 events is 50 of them, and its sender waits. A
caller that is told of an error sends everything again; consumers tell repeats by the ids inside the messages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

# docs.aws.amazon.com/AWSSimpleQueueService, quotas of messages.
MAX_ENTRIES = 10
MAX_REQUEST_BYTES = 1024 * 1024
ATTEMPTS = 3
# No more than the connections that a client keeps open.
PARALLEL_REQUESTS = 8


class QueueError(RuntimeError):
    """At least one message was not accepted; some of the others may have been."""


class SqsQueue:
    """A standard queue; what is sent comes into sight after `delay_seconds`, at most 900."""

    def __init__(self, client: SQSClient, url: str, *, delay_seconds: int = 0) -> None:
        self._client = client
        self._url = url
        self._delay = delay_seconds

    def send_all(self, bodies: Sequence[str]) -> None:
        """Send every body as a message of its own; raises QueueError unless all were accepted."""
        requests = [[self._addressed(entry) for entry in entries] for entries in _requests(bodies)]
        if len(requests) < 2:
            for entries in requests:
                self._send(entries)
            return
        # Imported where it is needed: most calls are one request, and a cold start pays for it.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(PARALLEL_REQUESTS, len(requests))) as threads:
            # The first that fails calls off those that have not begun: the caller will send everything again.
            list(threads.map(self._send, requests))

    def count_waiting(self) -> int:
        """Return about how many messages wait for a consumer; raises QueueError."""
        try:
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueError("the queue does not say how long it is") from error
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def _addressed(self, entry: SendMessageBatchRequestEntryTypeDef) -> SendMessageBatchRequestEntryTypeDef:
        return {**entry, "DelaySeconds": self._delay} if self._delay else entry

    def _send(self, entries: list[SendMessageBatchRequestEntryTypeDef]) -> None:
        for _ in range(ATTEMPTS):
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise QueueError("the queue did not take a request") from error
            failed = {entry["Id"]: entry for entry in answer.get("Failed", ())}
            refused = [entry["Code"] for entry in failed.values() if entry["SenderFault"]]
            if refused:
                raise QueueError(f"the queue refused a message: {refused[0]}")
            entries = [entry for entry in entries if entry["Id"] in failed]
            if not entries:
                return
        raise QueueError(f"the queue failed to take {len(entries)} messages in each of {ATTEMPTS} attempts")


class SqsFifoQueue(SqsQueue):
    """A FIFO queue of which equal messages are one group: no two of them are worked on at the same moment.

    With a `group` all messages are one, and are worked on one after the other.
    """

    def __init__(self, client: SQSClient, url: str, *, group: str | None = None) -> None:
        super().__init__(client, url)
        self._group = group

    def _addressed(self, entry: SendMessageBatchRequestEntryTypeDef) -> SendMessageBatchRequestEntryTypeDef:
        group = self._group or hashlib.sha256(entry["MessageBody"].encode()).hexdigest()
        # None is dropped as a duplicate: what it speaks of may have come up since the last one was read.
        return {**entry, "MessageGroupId": group, "MessageDeduplicationId": str(uuid4())}


def _requests(bodies: Sequence[str]) -> Iterator[list[SendMessageBatchRequestEntryTypeDef]]:
    entries: list[SendMessageBatchRequestEntryTypeDef] = []
    size = 0
    for body in bodies:
        body_size = len(body) if body.isascii() else len(body.encode())
        if body_size > MAX_REQUEST_BYTES:
            raise QueueError("a message is larger than the queue takes")
        if entries and (len(entries) == MAX_ENTRIES or size + body_size > MAX_REQUEST_BYTES):
            yield entries
            entries, size = [], 0
        entries.append({"Id": str(len(entries)), "MessageBody": body})
        size += body_size
    if entries:
        yield entries
