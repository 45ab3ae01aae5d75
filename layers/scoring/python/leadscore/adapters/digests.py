"""Digests in the one table, and their ways out: a topic for queues, functions and mail; SES for owners' own mail.

pk      sk                      what
DIGEST  ROUND                   the newest round: its date, the time that it is of, whether all of it was sent
DIGEST  SENT#<date>#<id>#<way>  one digest went out one way; gone after a week

Invariant: nothing here names an owner or a lead; ids of digests are hashes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from leadscore.core.digest import Digest
from leadscore.core.digest_messages import filter_attributes, fit_message, json_text, plain_text, subject_line
from leadscore.core.digest_policy import Round
from leadscore.core.instants import DAY, format_instant, parse_instant
from leadscore.usecases.digesting import UndeliveredError
from leadscore.usecases.records import ConflictError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sns import SNSClient

    from leadscore.adapters.items import Item

_PARTITION = "DIGEST"
_ROUND: Item = {"pk": {"S": _PARTITION}, "sk": {"S": "ROUND"}}
# Longer than a date's digests can be tried again.
_MARKS_KEPT = 7 * DAY
# docs.aws.amazon.com/ses, API v2 SendEmail: what the same message would meet again.
_FINAL = frozenset(("MessageRejected", "BadRequestException", "NotFoundException", "InvalidParameter"))


class DynamoRounds:
    """The use cases' Rounds on one table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def newest(self) -> Round | None:
        """Return the newest round, None where there was none."""
        found = self._client.get_item(TableName=self._table, Key=_ROUND, ConsistentRead=True)
        if "Item" not in found:
            return None
        item = found["Item"]
        since, until = (parse_instant(item[name]["S"]) for name in ("since", "until"))
        return Round(item["day"]["S"], since, until, item["done"]["BOOL"])

    def save(self, new: Round, *, instead_of: Round | None) -> None:
        """Write the newest round; raises ConflictError, having written nothing, where another one has been written."""
        condition: Any = {"ConditionExpression": "attribute_not_exists(pk)"}
        if instead_of is not None:
            known = _round_item(instead_of)
            condition = {
                "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in known),
                "ExpressionAttributeNames": {f"#{name}": name for name in known},
                "ExpressionAttributeValues": {f":{name}": value for name, value in known.items()},
            }
        try:
            self._client.put_item(TableName=self._table, Item={**_ROUND, **_round_item(new)}, **condition)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code", "") == "ConditionalCheckFailedException":
                raise ConflictError("another run of the digest is at work") from error
            raise

    def sent(self, date: str) -> set[str]:
        """Return the marks of what was sent on a date."""
        prefix = _mark_prefix(date)
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": _PARTITION}, ":prefix": {"S": prefix}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"].removeprefix(prefix) for page in pages for item in page["Items"]}

    def note_sent(self, date: str, mark: str) -> None:
        """Write down that something was sent."""
        expires = parse_instant(f"{date}T00:00:00.000Z") + _MARKS_KEPT
        item: Item = {
            "pk": {"S": _PARTITION},
            "sk": {"S": f"{_mark_prefix(date)}{mark}"},
            "expires_at": {"N": str(expires // 1000)},
        }
        self._client.put_item(TableName=self._table, Item=item)


class DigestTopic:
    """Publishes digests on their topic, each with its owner to filter by."""

    name = "topic"

    def __init__(self, client: SNSClient, topic: str) -> None:
        self._client = client
        self._topic = topic

    def takes(self, _digest: Digest) -> bool:
        """Return that every digest goes there."""
        return True

    def send(self, digest: Digest) -> None:
        """Publish the digest; raises UndeliveredError."""
        fitting = fit_message(digest)
        attributes = filter_attributes(fitting)
        try:
            self._client.publish(
                TopicArn=self._topic,
                Subject=subject_line(fitting),
                Message=json.dumps({"default": json_text(fitting), "email": plain_text(fitting)}),
                MessageStructure="json",
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise _undelivered(error) from None


class OwnersMail:
    """Sends an owner's digest by SES from `sender`, if the owner's name is an address in the sender's own domain.

    Whose lead is whose is told by events, which anybody may send who has a write key: an address elsewhere may be
    anybody's.
    """

    name = "mail"

    def __init__(self, client: SESV2Client, sender: str) -> None:
        self._client = client
        self._sender = sender
        self._domain = sender.rpartition("@")[2].lower()

    def takes(self, digest: Digest) -> bool:
        """Return whether the owner is an address in the sender's domain."""
        local, _, domain = (digest.owner or "").rpartition("@")
        return domain.lower() == self._domain and _is_local_part(local)

    def send(self, digest: Digest) -> None:
        """Send the digest to its owner; raises UndeliveredError."""
        try:
            self._client.send_email(
                FromEmailAddress=self._sender,
                # As the role has the domain, which is held to it letter by letter.
                Destination={"ToAddresses": [f"{(digest.owner or '').rpartition('@')[0]}@{self._domain}"]},
                Content={
                    "Simple": {
                        "Subject": {"Data": subject_line(digest), "Charset": "UTF-8"},
                        "Body": {"Text": {"Data": plain_text(digest), "Charset": "UTF-8"}},
                    }
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise _undelivered(error) from None


def _is_local_part(text: str) -> bool:
    """Return whether a text is a dot-atom of RFC 5322, which needs no quoting and is one address, without a name."""
    atoms = text.split(".")
    return len(text) <= 64 and all(one and all(c in _ATOM for c in one) for one in atoms)


_ATOM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~")


def _undelivered(error: Exception) -> UndeliveredError:
    """Return what is said of an error of AWS: its code alone, as its message may hold the address."""
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else type(error).__name__
    return UndeliveredError(code, final=code in _FINAL)


def _round_item(one: Round) -> Item:
    return {
        "day": {"S": one.date},
        "since": {"S": format_instant(one.since)},
        "until": {"S": format_instant(one.until)},
        "done": {"BOOL": one.done},
    }


def _mark_prefix(date: str) -> str:
    return f"SENT#{date}#"
