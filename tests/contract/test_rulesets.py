"""The published ruleset as every function reads it: how often it is asked for, and that it is never a mixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore import InvalidRuleset, Ruleset, parse_ruleset
from leadscore.adapters.parameters import CachedParameter
from leadscore.adapters.ruleset_shelf import SsmShelf
from leadscore.adapters.rulesets import cached_ruleset, published_documents, read_ruleset
from leadscore.stored_ruleset import TornRulesetError, split_document, storable_text
from tests.rulesets import many_criteria

NAME = "/leadscore/test/ruleset"
SMALL = parse_ruleset(many_criteria(5, points=30))
LARGE, OTHER = (parse_ruleset(many_criteria(600, points)) for points in (5, 7))


@dataclass
class Counted:
    """A client whose requests are counted."""

    client: Any
    asked: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self.client, name)


@dataclass
class World:
    ssm: Any
    counted: Any
    ruleset: CachedParameter[Ruleset]
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def publish(self, ruleset: Ruleset) -> None:
        parts, shelf = split_document(ruleset.document), SsmShelf(self.ssm, NAME)
        shelf.switch(storable_text(ruleset.document) if parts is None else shelf.put_parts(parts))

    def later(self) -> dict[str, int]:
        """Let the time to live pass, read, and return what was asked for."""
        self.now += timedelta(seconds=15)
        self.counted.asked.clear()
        self.ruleset.value()
        return dict(self.counted.asked)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        ssm = boto3.client("ssm")
        ssm.put_parameter(Name=NAME, Value=SMALL.document, Type="String")
        counted: Any = Counted(ssm)
        made = World(ssm, counted, None)  # type: ignore[arg-type]
        made.ruleset = cached_ruleset(counted, NAME, ttl_seconds=15, clock=lambda: made.now)
        yield made


def values_of(ruleset: Ruleset) -> tuple[str, ...]:
    parts = split_document(ruleset.document)
    assert parts is not None
    return parts.values


def test_a_small_ruleset_is_one_request_a_time_to_live(world: World) -> None:
    assert world.ruleset.value().version == SMALL.version
    world.counted.asked.clear()
    world.ruleset.value()
    assert world.counted.asked == {}
    assert world.later() == {"get_parameter": 1}


def test_parts_are_asked_for_only_where_the_switch_has_changed(world: World) -> None:
    world.publish(LARGE)
    assert world.later() == {"get_parameter": 1 + len(values_of(LARGE))}
    assert world.ruleset.value().document == LARGE.document
    assert world.later() == {"get_parameter": 1}
    world.publish(OTHER)
    assert world.later() == {"get_parameter": 1 + len(values_of(LARGE))}
    assert world.ruleset.value().document == OTHER.document


def test_a_part_that_is_gone_is_an_error_until_it_is_there_again(world: World) -> None:
    world.publish(LARGE)
    parts = split_document(LARGE.document)
    assert parts is not None
    name = f"{NAME}/{parts.folder}/1"
    world.ssm.delete_parameter(Name=name)
    with pytest.raises(TornRulesetError, match="is missing"):
        world.later()
    with pytest.raises(InvalidRuleset, match="missing"):
        read_ruleset(world.ssm, NAME)
    assert SsmShelf(world.ssm, NAME).read().document == ""
    world.ssm.put_parameter(Name=name, Value=parts.values[1], Type="String")
    assert world.ruleset.value().version == LARGE.version


def test_a_part_that_a_hand_writes_over_changes_nothing_for_who_reads_it_by_its_version(world: World) -> None:
    world.publish(LARGE)
    parts = split_document(LARGE.document)
    assert parts is not None
    world.ssm.put_parameter(Name=f"{NAME}/{parts.folder}/0", Value=parts.values[1], Overwrite=True)
    assert read_ruleset(world.ssm, NAME).document == LARGE.document


def test_the_parameters_own_past_leaves_switches_out(world: World) -> None:
    world.publish(LARGE)
    world.ssm.put_parameter(Name=NAME, Value='{"by": "hand"}', Overwrite=True)
    assert list(published_documents(world.ssm, NAME)) == [SMALL.document, '{"by": "hand"}']


def test_no_function_reads_the_parameter_for_itself() -> None:
    handlers = Path(__file__).parents[2].glob("functions/*/handler.py")
    readers = {each.parent.name: each.read_text(encoding="utf-8") for each in handlers}
    readers = {name: text for name, text in readers.items() if "settings.ruleset_parameter" in text}
    assert {"score", "notify", "api", "publish"} <= set(readers)
    assert {
        name for name, text in readers.items() if "parse=parse_ruleset" in text or "get_parameter(" in text
    } == set()
