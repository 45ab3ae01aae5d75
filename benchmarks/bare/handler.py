"""What `ingest` is measured against: a function that does nothing but send what it is given to SQS.

A body goes as one message, a body with a `batch` as one message for each of its events, by the same calls and as many
at once as `ingest` makes. It checks no key, looks at no event and bounds nothing. Like any function with metrics it
prints a line; the emulator would wait longer for one that is silent.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from typing import Any

import boto3

queue_url = os.environ["QUEUE_URL"]
sqs = boto3.client("sqs")


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send the body and answer 200."""
    body = b64decode(event["body"]).decode() if event["isBase64Encoded"] else event["body"]
    if event["path"].endswith("/batch"):
        sent = _send_batch([json.dumps(one) for one in json.loads(body)["batch"]])
    else:
        sqs.send_message(QueueUrl=queue_url, MessageBody=body)
        sent = 1
    print(json.dumps({"sent": sent}))
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": '{"success":true}'}


def _send_batch(bodies: list[str]) -> int:
    from concurrent.futures import ThreadPoolExecutor

    tens = [bodies[start : start + 10] for start in range(0, len(bodies), 10)]
    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(_send_ten, tens))


def _send_ten(bodies: list[str]) -> int:
    entries: Any = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
    answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
    if answer.get("Failed"):
        raise RuntimeError("SQS did not take all of it")
    return len(bodies)
