"""A cached parameter: read once per time to live, parsed once per value, never silently stale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.parameters import CachedParameter

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def ssm() -> Iterator[SSMClient]:
    with mock_aws():
        client = boto3.client("ssm")
        client.put_parameter(Name="/number", Value="1", Type="String")
        yield client


def publish(ssm: SSMClient, value: str) -> None:
    ssm.put_parameter(Name="/number", Value=value, Type="String", Overwrite=True)


def test_a_new_value_is_seen_when_the_old_one_is_too_old(ssm: SSMClient) -> None:
    clock, parsed = Clock(), []

    def parse(text: str) -> int:
        parsed.append(text)
        return int(text)

    parameter = CachedParameter(ssm, "/number", parse=parse, ttl_seconds=30, clock=clock)
    assert parameter.value() == 1
    publish(ssm, "2")
    clock.advance(29)
    assert parameter.value() == 1
    clock.advance(1)
    assert parameter.value() == 2
    clock.advance(31)
    assert parameter.value() == 2
    assert parsed == ["1", "2"]


def test_a_value_that_does_not_parse_raises_until_it_is_mended(ssm: SSMClient) -> None:
    clock = Clock()
    parameter = CachedParameter(ssm, "/number", parse=int, ttl_seconds=30, clock=clock)
    assert parameter.value() == 1
    publish(ssm, "one")
    clock.advance(31)
    for _ in range(2):
        with pytest.raises(ValueError, match="one"):
            parameter.value()
    publish(ssm, "3")
    assert parameter.value() == 3
