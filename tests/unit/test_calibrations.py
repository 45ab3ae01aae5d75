"""The cached calibration: read once per time to live, and seen to be gone as soon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.calibrations import CachedCalibration
from leadscore.adapters.learning_items import DynamoInsights
from leadscore.core.instants import DAY, from_datetime
from leadscore.learning.calibration import Calibration, DatedCalibration
from tests.contract.leads_table import TABLE, create_leads_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

START = datetime(2026, 1, 1, tzinfo=UTC)
FITTED = Calibration(-4.0, 0.05, (0.04, -0.0005, 0.00001), leads=1200, conversions=140)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def client() -> Iterator[DynamoDBClient]:
    with mock_aws():
        create_leads_table()
        yield boto3.client("dynamodb")


def reads_of(client: DynamoDBClient) -> list[str]:
    reads: list[str] = []

    def count(**_: Any) -> None:
        reads.append("read")

    client.meta.events.register("before-call.dynamodb.GetItem", count)
    return reads


def store(client: DynamoDBClient, run: str, calibration: DatedCalibration | None) -> None:
    DynamoInsights(client, TABLE).replace(run, 0, {}, calibration)


def dated(days: int) -> DatedCalibration:
    return DatedCalibration(FITTED, from_datetime(START) + days * DAY, 30 * DAY, "abc")


def test_a_new_calibration_is_seen_when_the_old_one_is_too_old_for_the_cache(client: DynamoDBClient) -> None:
    clock = Clock()
    held = CachedCalibration(client, TABLE, ttl_seconds=30, clock=clock, report=print)
    store(client, "first", dated(0))
    assert held.value() == dated(0)
    store(client, "second", dated(7))
    clock.now += timedelta(seconds=29)
    assert held.value() == dated(0)
    clock.now += timedelta(seconds=1)
    assert held.value() == dated(7)
    store(client, "third", None)
    clock.now += timedelta(seconds=30)
    assert held.value() is None


@pytest.mark.parametrize("calibration", [None, dated(0)])
def test_it_is_one_read_per_time_to_live_also_where_there_is_none(
    client: DynamoDBClient, calibration: DatedCalibration | None
) -> None:
    clock = Clock()
    store(client, "first", calibration)
    reads = reads_of(client)
    held = CachedCalibration(client, TABLE, ttl_seconds=30, clock=clock, report=print)
    assert [held.value() for _ in range(5)] == [calibration] * 5
    assert len(reads) == 1
    clock.now += timedelta(seconds=30)
    held.value()
    assert len(reads) == 2


def test_one_that_cannot_be_read_is_reported_and_the_one_before_goes_on_being_held(client: DynamoDBClient) -> None:
    clock, reported = Clock(), list[str]()
    store(client, "first", dated(0))
    held = CachedCalibration(client, TABLE, ttl_seconds=30, clock=clock, report=reported.append)
    assert held.value() == dated(0)
    client.put_item(
        TableName=TABLE, Item={"pk": {"S": "LEARNING"}, "sk": {"S": "CALIBRATION"}, "content": {"S": '{"slope": 1}'}}
    )
    clock.now += timedelta(seconds=30)
    assert [held.value(), held.value()] == [dated(0)] * 2
    assert reported == ["the calibration cannot be read"]
    client.delete_item(TableName=TABLE, Key={"pk": {"S": "LEARNING"}, "sk": {"S": "CALIBRATION"}})
    clock.now += timedelta(seconds=30)
    assert held.value() is None
