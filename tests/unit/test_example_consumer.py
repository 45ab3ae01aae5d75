"""The example of a consumer counts what really comes on the bus, each event once, whatever is repeated or fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from leadscore.core.signals import detail_text, signal_of
from tests.examples.count_hot_leads import TABLE, count_hot_lead, handler
from tests.unit.test_signals import LEAD

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = boto3.client("dynamodb")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def detail(number: int = 1, kind: Any = "tier", day: str = "2026-01-31") -> dict[str, Any]:
    change = replace(LEAD, id=f"{number:024x}", kind=kind, at=f"{day}T12:00:00.000Z")
    content: dict[str, Any] = json.loads(detail_text(signal_of(change)))
    return content


def hot_on(client: DynamoDBClient, day: str) -> int:
    item = client.get_item(TableName=TABLE, Key={"pk": {"S": f"DAY#{day}"}}).get("Item", {"hot": {"N": "0"}})
    return int(item["hot"]["N"])


def test_an_event_that_comes_again_is_not_counted_again(client: DynamoDBClient) -> None:
    assert [count_hot_lead(client, detail(number)) for number in (1, 1, 2, 1)] == [True, False, True, False]
    assert hot_on(client, "2026-01-31") == 2


def test_days_are_counted_apart(client: DynamoDBClient) -> None:
    for number, day in enumerate(("2026-01-31", "2026-02-01", "2026-02-01")):
        handler({"detail": detail(number, day=day)}, None)
    assert (hot_on(client, "2026-01-31"), hot_on(client, "2026-02-01")) == (1, 2)


def test_what_was_seen_is_forgotten_in_the_end(client: DynamoDBClient) -> None:
    count_hot_lead(client, detail())
    seen = client.get_item(TableName=TABLE, Key={"pk": {"S": f"SEEN#{1:024x}"}})["Item"]
    assert seen["expires_at"]["N"] == "1773748800"


def test_a_shape_that_it_was_not_written_for_is_refused(client: DynamoDBClient) -> None:
    with pytest.raises(ValueError, match=r"leadscore\.LeadConverted/1"):
        count_hot_lead(client, detail(kind="conversion"))
    assert hot_on(client, "2026-01-31") == 0


def test_what_another_writer_stands_in_the_way_of_is_tried_again(client: DynamoDBClient) -> None:
    reasons: list[object] = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    with Stubber(client) as stubbed:
        stubbed.add_client_error(
            "transact_write_items", "TransactionCanceledException", modeled_fields={"CancellationReasons": reasons}
        )
        with pytest.raises(client.exceptions.TransactionCanceledException):
            count_hot_lead(client, detail())
    assert count_hot_lead(client, detail())


def test_a_count_that_fails_is_an_error_and_is_made_by_the_next_try(client: DynamoDBClient) -> None:
    key = {"pk": {"S": "DAY#2026-01-31"}}
    client.put_item(TableName=TABLE, Item={**key, "hot": {"S": "not a number"}})
    with pytest.raises(ClientError):
        count_hot_lead(client, detail())
    client.delete_item(TableName=TABLE, Key=key)
    assert count_hot_lead(client, detail())
    assert hot_on(client, "2026-01-31") == 1
