"""The benchmark's table answers the adapter as DynamoDB does (moto): else what it counts would say nothing."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from benchmarks.population import NOW, RULES, Population, lead_identity
from leadscore.adapters import dynamodb
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.usecases.queries import LeadsQuery
from leadscore.usecases.ranking import rank_leads
from leadscore.usecases.records import Ranked
from tests.contract.leads_table import TABLE, create_leads_table

LEADS = 60


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb, "_FIRST_PAGE", 2)
    monkeypatch.setattr(dynamodb, "_PAGE_GROWTH", 2)
    monkeypatch.setattr(dynamodb, "_LARGEST_PAGE", 5)


@pytest.fixture
def population() -> Population:
    return Population(LEADS, shards=3)


@pytest.fixture
def store(population: Population) -> Iterator[DynamoStore]:
    with mock_aws():
        create_leads_table()
        store = DynamoStore(boto3.client("dynamodb"), TABLE, shards=3, retention_days=400)
        for lead in range(LEADS):
            store.commit([population.stored(lead)])
        yield store


def test_both_walk_the_same_entries(store: DynamoStore, population: Population) -> None:
    walked = list(store.walk_ranking())
    bodies = [(lead_identity(lead), population.stored(lead).body) for lead in range(LEADS)]
    stored = {
        Ranked(body.rank_key, name, body.tier, body.due, body.ruleset) for name, body in bodies if body is not None
    }
    assert (len(walked), set(walked)) == (LEADS, stored)
    assert list(population.reader().walk_ranking()) == walked


def test_both_hold_the_same_leads(store: DynamoStore, population: Population) -> None:
    reader = population.reader()
    named = [entry.identity for entry in reader.walk_ranking()]
    assert reader.load_identities(named) == store.load_identities(named)
    assert reader.load_identities(named[:1]) == store.load_identities(named[:1])


def test_a_lead_that_is_refreshed_moves(store: DynamoStore, population: Population) -> None:
    page = rank_leads(store, RULES, LeadsQuery(limit=20), NOW)
    assert rank_leads(population.reader(), RULES, LeadsQuery(limit=20), NOW) == page
    for identity in page.loose:
        population.refresh(identity)
    keys = {entry.identity: entry.rank_key for entry in store.walk_ranking()}
    moved = {entry.identity: entry.rank_key for entry in population.reader().walk_ranking()}
    assert {identity for identity in keys if moved[identity] != keys[identity]} == set(page.loose)
    assert keys.keys() == moved.keys() == {lead_identity(lead) for lead in range(LEADS)}


def test_pages_grow_up_to_a_largest(population: Population) -> None:
    list(population.reader().walk_ranking())
    # 20 leads a shard: 2, 4, 5, 5, 4; DynamoDB says that there may be more wherever the limit ends a page.
    counts = population.take_counts()
    assert counts.entries == LEADS
    assert 15 <= counts.pages <= 18
