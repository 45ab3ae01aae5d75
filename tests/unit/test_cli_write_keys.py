"""Write keys are random, shown once, and kept as hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from leadscore_cli.write_keys import ensure_write_key, first_write_key

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PARAMETER = "/leadscore/write-keys"


@pytest.fixture
def ssm() -> Iterator[SSMClient]:
    with mock_aws(), closing(boto3.client("ssm")) as client:
        client.put_parameter(Name=PARAMETER, Value="[]", Type="String")
        yield client


def stored(ssm: SSMClient) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"])
    return entries


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_the_first_key_is_kept_as_its_hash(ssm: SSMClient) -> None:
    key = ensure_write_key(ssm, PARAMETER, known=None)

    assert len(key) == 32
    assert stored(ssm) == [{"source": "default", "sha256": hashed(key)}]


def test_a_known_key_that_is_accepted_stays(ssm: SSMClient) -> None:
    key = ensure_write_key(ssm, PARAMETER, known=None)

    assert ensure_write_key(ssm, PARAMETER, known=key) == key
    assert stored(ssm) == [{"source": "default", "sha256": hashed(key)}]


@pytest.mark.parametrize("known", [None, "of-another-stack"])
def test_a_key_that_is_not_accepted_gives_way_to_a_new_one_beside_those_of_others(
    ssm: SSMClient, known: str | None
) -> None:
    other = {"source": "website", "sha256": hashed("website-key")}
    old = {"source": "default", "sha256": hashed("lost")}
    ssm.put_parameter(Name=PARAMETER, Value=json.dumps([other, old]), Overwrite=True)

    key = ensure_write_key(ssm, PARAMETER, known)

    assert stored(ssm) == [other, {"source": "default", "sha256": hashed(key)}]


def test_a_stage_with_keys_gets_no_first_one(ssm: SSMClient) -> None:
    first = first_write_key(ssm, PARAMETER)
    before = stored(ssm)

    assert first is not None
    assert first_write_key(ssm, PARAMETER) is None
    assert stored(ssm) == before == [{"source": "default", "sha256": hashed(first)}]
