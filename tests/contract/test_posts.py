"""What was posted to a Slack route: the memory that tests use and the table agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.posts import KEPT, PostTable
from leadscore.usecases.posting import PostMemory
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.memory_posts import MemoryPosts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "dynamodb"])
def posts(request: pytest.FixtureRequest) -> Iterator[PostMemory]:
    if request.param == "memory":
        yield MemoryPosts()
        return
    with mock_aws():
        create_leads_table()
        yield PostTable(boto3.client("dynamodb"), TABLE, "sales", lambda: NOW)


def test_what_is_posted_is_not_begun_again(posts: PostMemory) -> None:
    assert posts.begin("a1") == "begun"
    posts.finish("a1", None, None)
    assert posts.begin("a1") == "posted"
    assert posts.begin("a2") == "begun"


def test_two_attempts_of_unknown_outcome_are_all(posts: PostMemory) -> None:
    assert [posts.begin("a1") for _ in range(4)] == ["begun", "begun", "unknown", "unknown"]


def test_an_attempt_that_posted_nothing_does_not_count(posts: PostMemory) -> None:
    for _ in range(5):
        assert posts.begin("a1") == "begun"
        posts.withdraw("a1")
    assert posts.begin("a1") == "begun"
    assert posts.begin("a1") == "begun"
    posts.withdraw("a1")
    assert posts.begin("a1") == "begun"
    assert posts.begin("a1") == "unknown"


def test_the_newest_post_of_an_account_is_its_thread(posts: PostMemory) -> None:
    assert posts.thread("acme") is None
    posts.begin("a1")
    posts.finish("a1", "acme", "111.1")
    assert (posts.thread("acme"), posts.thread("umbrella")) == ("111.1", None)
    posts.begin("a2")
    posts.finish("a2", "acme", "222.2")
    posts.begin("a3")
    posts.finish("a3", "acme", None)
    assert posts.thread("acme") == "222.2"


def test_routes_know_nothing_of_each_other_and_forget_after_40_days() -> None:
    with mock_aws():
        create_leads_table()
        client = boto3.client("dynamodb")
        sales, deals = (PostTable(client, TABLE, route, lambda: NOW) for route in ("sales", "deals"))
        sales.begin("a1")
        sales.finish("a1", "acme", "111.1")

        assert deals.begin("a1") == "begun"
        assert deals.thread("acme") is None
        items = client.scan(TableName=TABLE)["Items"]
        assert {item["pk"]["S"] for item in items} == {"SLACK#sales", "SLACK#deals"}
        assert {int(item["expires_at"]["N"]) for item in items} == {int((NOW + KEPT).timestamp())}
        late = PostTable(client, TABLE, "sales", lambda: NOW + KEPT + timedelta(seconds=1))
        assert late.thread("acme") is None
