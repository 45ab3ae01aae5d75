"""What is learned, in the table: whole or not at all, whatever is interrupted, and gone once it is replaced and old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters import learning_items
from leadscore.adapters.learning_items import DynamoInsights, load_calibration
from leadscore.core.instants import DAY
from leadscore.learning.calibration import Calibration, DatedCalibration
from leadscore.usecases.learning import UnreadableResultError
from tests.contract.leads_table import TABLE, create_leads_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_772_366_400_000
WEEK = 7 * DAY
CALIBRATION = DatedCalibration(Calibration(-4.0, 0.05, (0.1, -0.001, 0.0002), 900, 90), NOW, 30 * DAY, "0123456789ab")
# Of texts that do not shrink, so that it takes many parts.
LARGE = {"texts": [f"{number * 7919 % 104729:x}" for number in range(400)], "name": "Größe"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDBClient]:
    monkeypatch.setattr(learning_items, "_CHUNK_BYTES", 300)
    with mock_aws():
        create_leads_table()
        yield boto3.client("dynamodb")


@dataclass
class Failing:
    """A client whose writes fail from the `left`th on."""

    client: DynamoDBClient
    left: int

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        if name not in {"put_item", "delete_item", "transact_write_items"}:
            return call

        def write(**arguments: Any) -> Any:
            if self.left == 0:
                raise ConnectionError("gone")
            self.left -= 1
            return call(**arguments)

        return write


def stored_keys(client: DynamoDBClient) -> list[str]:
    return sorted(item["sk"]["S"] for item in client.scan(TableName=TABLE)["Items"])


def test_a_sample_comes_back_from_its_parts_and_is_gone_after_a_day(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    store.save_sample("run", 3, 0, LARGE, NOW)
    items = client.scan(TableName=TABLE)["Items"]
    assert len(items) > 3
    assert {item["pk"]["S"] for item in items} == {"LEARNING"}
    assert {int(item["expires_at"]["N"]) for item in items} == {(NOW + DAY) // 1000}
    assert all(len(item["part"]["B"]) <= 300 for item in items)
    assert store.load_sample("run", 3, 0) == LARGE
    assert store.load_sample("run", 3, 1) is None
    assert store.load_sample("other", 3, 0) is None


def test_a_sample_that_is_taken_again_replaces_the_one_before(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    store.save_sample("run", 0, 0, LARGE, NOW)
    store.save_sample("run", 0, 0, {"small": 1}, NOW)
    assert store.load_sample("run", 0, 0) == {"small": 1}


def test_a_sample_of_which_a_part_is_missing_is_none(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    store.save_sample("run", 0, 0, LARGE, NOW)
    client.delete_item(TableName=TABLE, Key={"pk": {"S": "LEARNING"}, "sk": {"S": "RUN#run#0#0#2"}})
    assert store.load_sample("run", 0, 0) is None


def test_a_sample_that_is_interrupted_was_not_taken(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    for writes in range(100):
        failing = DynamoInsights(cast("Any", Failing(client, writes)), TABLE)
        try:
            failing.save_sample("run", 0, writes, LARGE, NOW)
        except ConnectionError:
            # Not even its first part, by which it would be found.
            assert f"RUN#run#0#{writes}#0" not in stored_keys(client)
            assert store.load_sample("run", 0, writes) is None
            continue
        assert store.load_sample("run", 0, writes) == LARGE
        assert writes > 3
        break


def test_before_the_first_run_there_is_nothing(client: DynamoDBClient) -> None:
    assert DynamoInsights(client, TABLE).load() is None
    assert load_calibration(client, TABLE) is None


def test_a_result_replaces_the_one_before_with_its_calibration(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    store.replace("one", NOW, {**LARGE, "run": "one"}, CALIBRATION)
    assert store.load() == {**LARGE, "run": "one"}
    assert load_calibration(client, TABLE) == CALIBRATION
    store.replace("two", NOW + WEEK, {"run": "two"}, None)
    assert store.load() == {"run": "two"}
    # A calibration that no longer holds is not left behind.
    assert load_calibration(client, TABLE) is None
    assert stored_keys(client) == ["INSIGHTS", "RESULT#two#0"]


def test_a_replacement_that_is_interrupted_anywhere_leaves_the_whole_of_one_result(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    old, new = ({**LARGE, "run": name} for name in ("one", "two"))
    store.replace("one", NOW, old, CALIBRATION)
    seen = []
    for writes in range(100):
        failing = DynamoInsights(cast("Any", Failing(client, writes)), TABLE)
        try:
            failing.replace("two", NOW + WEEK, new, None)
        except ConnectionError:
            seen.append((store.load() == new, load_calibration(client, TABLE) is None))
            assert store.load() in (old, new)
            continue
        break
    # First the old one with its calibration, then the new one without; never the one with the other's.
    assert set(seen) == {(False, False), (True, True)}
    assert seen == sorted(seen)
    # Nothing is left behind of runs that were interrupted.
    store.replace("three", NOW + 2 * WEEK, {"run": "three"}, None)
    assert stored_keys(client) == ["INSIGHTS", "RESULT#three#0"]


def test_of_runs_that_conclude_at_once_the_last_one_is_what_readers_get(
    client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run by hand concludes when the weekly one has written its parts and not yet named itself."""
    weekly, by_hand = DynamoInsights(client, TABLE), DynamoInsights(client, TABLE)
    weekly.replace("one", NOW, {"run": "one"}, None)
    write = weekly._write_parts

    def overtaken(*arguments: Any) -> None:
        write(*arguments)
        by_hand.replace("by hand", NOW + WEEK + DAY, {**LARGE, "run": "by hand"}, CALIBRATION)
        assert weekly.load() == {**LARGE, "run": "by hand"}

    monkeypatch.setattr(weekly, "_write_parts", overtaken)
    weekly.replace("two", NOW + WEEK, {**LARGE, "run": "two"}, None)
    assert weekly.load() == {**LARGE, "run": "two"}
    assert load_calibration(client, TABLE) is None
    # What is left of the overtaken goes once nobody can be about to name it.
    weekly = DynamoInsights(client, TABLE)
    weekly.replace("three", NOW + 2 * WEEK, {"run": "three"}, None)
    assert stored_keys(client) == ["INSIGHTS", "RESULT#three#0"]


def test_parts_that_say_not_when_their_run_began_are_of_an_old_one(client: DynamoDBClient) -> None:
    client.put_item(TableName=TABLE, Item={"pk": {"S": "LEARNING"}, "sk": {"S": "RESULT#old#0"}})
    DynamoInsights(client, TABLE).replace("one", NOW, {"run": "one"}, None)
    assert stored_keys(client) == ["INSIGHTS", "RESULT#one#0"]


def test_a_reader_who_meets_a_replacement_reads_the_new_result(
    client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DynamoInsights(client, TABLE)
    store.replace("one", NOW, {**LARGE, "run": "one"}, None)
    found = store._part
    calls: list[str] = []

    def replaced_between(prefix: str, number: int) -> Any:
        if not calls:
            calls.append(prefix)
            DynamoInsights(client, TABLE).replace("two", NOW + WEEK, {"run": "two"}, None)
        return found(prefix, number)

    monkeypatch.setattr(store, "_part", replaced_between)
    assert store.load() == {"run": "two"}
    assert calls == ["RESULT#one#"]


def test_a_result_that_is_not_all_there_is_an_error(client: DynamoDBClient) -> None:
    store = DynamoInsights(client, TABLE)
    store.replace("one", NOW, {**LARGE, "run": "one"}, None)
    client.delete_item(TableName=TABLE, Key={"pk": {"S": "LEARNING"}, "sk": {"S": "RESULT#one#1"}})
    with pytest.raises(UnreadableResultError):
        store.load()
