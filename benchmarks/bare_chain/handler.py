"""What the way from an event to Slack is measured against: four functions that only pass a message on.

    REST API -> accept -> SQS -> keep -> FIFO queue -> announce -> FIFO topic -> FIFO queue -> post -> HTTP

By the services of ours, in its order, and with one item read or written in each: `keep` reads a lead and writes it,
`announce` reads what is to be told and notes that it was, `post` notes that it posts. What is marked as `safe` is
neither lost nor told twice under two ids by a crash, as an alert must not be: `keep` logs the event first, unless it is
there, and `announce` writes what it is about to tell. No key is checked, no event is looked at, nothing is scored. Like
any function with metrics each prints a line; the emulator would wait longer for one that is silent.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from typing import Any

import boto3
import urllib3
from botocore.config import Config

# What ours spares on each request: leadscore/adapters/clients.py.
_OURS = Config(user_agent="leadscore", parameter_validation=False)
config = _OURS if os.environ["CLIENTS"] == "ours" else Config()
sqs, sns = boto3.client("sqs", config=config), boto3.client("sns", config=config)
dynamodb = boto3.client("dynamodb", config=config)
pool = urllib3.PoolManager(retries=False)


def accept(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send the body to the first queue and answer 200."""
    body = b64decode(event["body"]).decode() if event["isBase64Encoded"] else event["body"]
    sqs.send_message(QueueUrl=os.environ["EVENTS_QUEUE_URL"], MessageBody=body)
    # As ours says when it has taken the event: milliseconds, written where metrics have them.
    print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000)}, "accepted": 1}))
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": '{"success":true}'}


def keep(event: dict[str, Any], _context: object) -> None:
    """Read and write an item for each event, and hand it on; of one that is safe there is a log."""
    for record in event["Records"]:
        change = json.loads(record["body"])
        name = change["messageId"]
        if change.get("safe"):
            _write(f"event {name}", record["body"], ConditionExpression="attribute_not_exists(pk)")
        _read(f"lead {name}")
        _write(f"lead {name}", record["body"])
        _hand_on(name, record["body"])
    print('{"kept": 1}')


def announce(event: dict[str, Any], _context: object) -> None:
    """Read the item of each event, publish, and note that it was; one that is safe is written down before."""
    for record in event["Records"]:
        change = json.loads(record["body"])
        name = change["messageId"]
        _read(f"lead {name}")
        if change.get("safe"):
            _write(f"desk {name}", record["body"], ConditionExpression="attribute_not_exists(pk)")
        sns.publish(
            TopicArn=os.environ["TOPIC_ARN"],
            Message=record["body"],
            MessageGroupId="alerts",
            MessageDeduplicationId=name,
        )
        _write(f"alert {name}", record["body"])
    print('{"announced": 1}')


def post(event: dict[str, Any], _context: object) -> None:
    """Note that each event is posted, and post it."""
    for record in event["Records"]:
        name = json.loads(record["body"])["messageId"]
        _write(f"post {name}", record["body"])
        answer = pool.request("POST", os.environ["WEBHOOK"], body=json.dumps({"text": name}).encode())
        if answer.status != 200:
            raise RuntimeError(f"it answered {answer.status}")
    print('{"posted": 1}')


def _hand_on(name: str, body: str) -> None:
    sqs.send_message(
        QueueUrl=os.environ["CHANGES_QUEUE_URL"],
        MessageBody=body,
        MessageGroupId=name,
        MessageDeduplicationId=name,
    )


def _read(name: str) -> None:
    dynamodb.get_item(TableName=os.environ["TABLE_NAME"], Key={"pk": {"S": name}}, ConsistentRead=True)


def _write(name: str, body: str, **condition: Any) -> None:
    item = {"pk": {"S": name}, "body": {"S": body}}
    dynamodb.put_item(TableName=os.environ["TABLE_NAME"], Item=item, **condition)
