"""One contract for the marks of nurtured leads and the day's budget: DynamoDB (moto) and the in-memory fake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.nurture_marks import DynamoNurtureMarks
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, parse_instant
from leadscore.usecases.nurturing import Budget, Marks, NurtureMark
from leadscore.usecases.records import Graves, Store, StoredIdentity
from leadscore.usecases.retrying import ContentionError
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_nurture_marks import MemoryNurtureMarks
from tests.contract.memory_store import MemoryStore
from tests.contract.test_store import make_lead

NOON = parse_instant("2026-03-02T12:00:00Z")
TODAY, TOMORROW = Budget("2026-03-02", 2), Budget("2026-03-03", 2)
KEPT = NOON + 30 * DAY
FIRST, SECOND = NurtureMark("a" * 24, NOON), NurtureMark("b" * 24, NOON + DAY)


class Table(NamedTuple):
    """The marks, and the leads and graves beside them."""

    marks: Marks
    store: Store
    graves: Graves


@pytest.fixture(params=["dynamodb", "memory"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        store = MemoryStore()
        yield Table(MemoryNurtureMarks(store), store, store)
        return
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        leads = DynamoStore(client, TABLE, shards=3, retention_days=400)
        yield Table(DynamoNurtureMarks(client, TABLE, never), leads, DynamoGraves(client, TABLE, never))


def never(_attempt: int) -> None:
    raise AssertionError("nobody else is there to wait for")


def stored(table: Table, name: str = "user:ada") -> StoredIdentity:
    lead = make_lead(name)
    table.store.commit([lead])
    return lead


def test_a_lead_is_taken_with_one_of_the_days_budget(table: Table) -> None:
    ada = stored(table)
    assert (table.marks.find(["user:ada", "user:bob"]), table.marks.spent(TODAY.day)) == ({}, 0)
    assert table.marks.take(ada, None, FIRST, KEPT, TODAY) == "taken"
    assert table.marks.find(["user:ada", "user:bob"]) == {"user:ada": FIRST}
    assert (table.marks.spent(TODAY.day), table.marks.spent(TOMORROW.day)) == (1, 0)


def test_what_was_announced_is_settled(table: Table) -> None:
    table.marks.take(stored(table), None, FIRST, KEPT, TODAY)
    for mark in (SECOND, FIRST._replace(at=NOON + 1)):
        table.marks.settle("user:ada", mark)
        assert table.marks.find(["user:ada"]) == {"user:ada": FIRST}
    for _ in range(2):
        table.marks.settle("user:ada", FIRST)
        assert table.marks.find(["user:ada"]) == {"user:ada": FIRST._replace(told=True)}
    table.marks.settle("user:bob", FIRST)
    assert table.marks.find(["user:bob"]) == {}


def test_no_more_are_taken_than_the_budget_of_the_day_has(table: Table) -> None:
    ada, bob, cid = (stored(table, f"user:{name}") for name in ("ada", "bob", "cid"))
    assert [table.marks.take(each, None, FIRST, KEPT, TODAY) for each in (ada, bob, cid)] == ["taken", "taken", "spent"]
    assert table.marks.spent(TODAY.day) == 2
    assert table.marks.find(["user:cid"]) == {}
    assert table.marks.take(cid, None, FIRST, KEPT, TOMORROW) == "taken"


def test_of_two_who_take_one_lead_one_does_and_it_counts_once(table: Table) -> None:
    ada = stored(table)
    assert table.marks.take(ada, None, FIRST, KEPT, TODAY) == "taken"
    assert table.marks.take(ada, None, SECOND, KEPT, TODAY) == "changed"
    assert (table.marks.find(["user:ada"]), table.marks.spent(TODAY.day)) == ({"user:ada": FIRST}, 1)


def test_a_mark_takes_the_place_of_the_one_that_was_read(table: Table) -> None:
    ada = stored(table)
    table.marks.take(ada, None, FIRST, KEPT, TODAY)
    assert table.marks.take(ada, FIRST._replace(at=NOON - 1), SECOND, KEPT, TOMORROW) == "changed"
    assert table.marks.take(ada, FIRST, SECOND, KEPT, TOMORROW) == "taken"
    assert table.marks.find(["user:ada"]) == {"user:ada": SECOND}


def test_a_mark_that_was_read_may_be_gone_by_now(table: Table) -> None:
    assert table.marks.take(stored(table), FIRST, SECOND, KEPT, TOMORROW) == "taken"


def test_a_lead_that_was_written_since_it_was_read_is_not_taken(table: Table) -> None:
    ada = stored(table)
    table.store.commit([make_lead(version=2)])
    assert table.marks.take(ada, None, FIRST, KEPT, TODAY) == "changed"
    assert (table.marks.find(["user:ada"]), table.marks.spent(TODAY.day)) == ({}, 0)


def test_a_lead_that_is_not_there_is_not_taken(table: Table) -> None:
    assert table.marks.take(make_lead(), None, FIRST, KEPT, TODAY) == "changed"
    assert table.marks.spent(TODAY.day) == 0


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        create_leads_table()
        yield boto3.client("dynamodb")


def test_erasing_removes_the_mark_and_marks_forget_themselves(dynamodb: Any) -> None:
    ada = make_lead()
    DynamoStore(dynamodb, TABLE, shards=3, retention_days=400).commit([ada])
    marks, graves = DynamoNurtureMarks(dynamodb, TABLE, never), DynamoGraves(dynamodb, TABLE, never)
    marks.take(ada, None, FIRST, KEPT, TODAY)
    expiring = {item["sk"]["S"]: int(item["expires_at"]["N"]) for item in items(dynamodb) if "expires_at" in item}
    assert expiring == {"MARK#NURTURED": KEPT // 1000, "BUDGET": parse_instant("2026-03-09T00:00:00Z") // 1000}
    graves.remove_marks(pseudonym("user:ada"))
    assert marks.find(["user:ada"]) == {}


def items(dynamodb: Any) -> list[Any]:
    return list(dynamodb.scan(TableName=TABLE)["Items"])


class Busy:
    """A DynamoDB at whose items another transaction is, for a number of times."""

    def __init__(self, client: Any, times: int, code: str = "TransactionConflict") -> None:
        self._client = client
        self._times = times
        self._code = code

    def transact_write_items(self, **request: Any) -> object:
        if self._times:
            self._times -= 1
            reasons = [{"Code": self._code}, {"Code": "None"}, {"Code": "None"}]
            answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(answer, "TransactWriteItems")
        return self._client.transact_write_items(**request)


def test_whoever_meets_another_transaction_waits_for_it(dynamodb: Any) -> None:
    ada, pauses = make_lead(), list[int]()
    DynamoStore(dynamodb, TABLE, shards=3, retention_days=400).commit([ada])
    assert DynamoNurtureMarks(busy(dynamodb, 2), TABLE, pauses.append).take(ada, None, FIRST, KEPT, TODAY) == "taken"
    assert pauses == [1, 2]
    with pytest.raises(ContentionError):
        DynamoNurtureMarks(busy(dynamodb, 8), TABLE, pauses.append).take(ada, None, FIRST, KEPT, TODAY)


def test_a_transaction_that_fails_for_another_reason_fails(dynamodb: Any) -> None:
    with pytest.raises(ClientError):
        DynamoNurtureMarks(busy(dynamodb, 1, "ThrottlingError"), TABLE, never).take(
            make_lead(), None, FIRST, KEPT, TODAY
        )


def busy(dynamodb: Any, times: int, code: str = "TransactionConflict") -> Any:
    return Busy(dynamodb, times, code)
