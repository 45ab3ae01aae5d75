"""Write keys are random, shown once, kept as hashes, and what the command writes is what ingest reads."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.write_keys import WriteKey, WriteKeys
from leadscore_cli.failures import CommandError
from leadscore_cli.write_keys import MAX_PARAMETER_BYTES, WriteKeyStore, as_origin

PARAMETER = "/leadscore/write-keys"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def keys() -> Iterator[WriteKeyStore]:
    with mock_aws(), closing(boto3.client("ssm")) as client:
        client.put_parameter(Name=PARAMETER, Value="[]", Type="String")
        yield WriteKeyStore(client, PARAMETER)


def document(keys: WriteKeyStore) -> str:
    return keys.ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"]


def stored(keys: WriteKeyStore) -> list[dict[str, Any]]:
    """What is kept, without the instants, which must be some."""
    entries: list[dict[str, Any]] = json.loads(document(keys))
    for entry in entries:
        assert all(INSTANT.fullmatch(entry.pop(name, "2026-01-01T00:00:00Z")) for name in ("created", "revoked"))
    return entries


def in_use(keys: WriteKeyStore, key: str) -> WriteKey | None:
    """What ingest makes of the key."""
    return WriteKeys.parse(document(keys)).find(key)


def put(keys: WriteKeyStore, entries: list[dict[str, Any]]) -> None:
    keys.ssm.put_parameter(Name=PARAMETER, Value=json.dumps(entries), Overwrite=True)


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


# The first key, which `up` and `deploy` make


def test_the_first_key_is_kept_as_its_hash(keys: WriteKeyStore) -> None:
    key = keys.ensure(known=None)

    assert len(key) == 32
    assert stored(keys) == [{"source": "default", "sha256": hashed(key)}]


def test_a_known_key_that_is_accepted_stays(keys: WriteKeyStore) -> None:
    key = keys.ensure(known=None)
    before = document(keys)

    assert keys.ensure(known=key) == key
    assert document(keys) == before


@pytest.mark.parametrize("known", [None, "of-another-stack"])
def test_a_key_that_is_not_accepted_gives_way_to_a_new_one_beside_those_of_others(
    keys: WriteKeyStore, known: str | None
) -> None:
    other = {"source": "website", "sha256": hashed("website-key")}
    put(keys, [other, {"source": "default", "sha256": hashed("lost")}])

    key = keys.ensure(known)

    assert stored(keys) == [other, {"source": "default", "sha256": hashed(key)}]


def test_a_known_key_that_was_revoked_gives_way_too(keys: WriteKeyStore) -> None:
    known = keys.ensure(None)
    keys.revoke("default")

    assert keys.ensure(known) != known


def test_a_stage_that_has_or_had_keys_gets_no_first_one(keys: WriteKeyStore) -> None:
    first = keys.first()

    assert first is not None
    assert keys.first() is None
    keys.revoke("default")
    assert keys.first() is None
    assert in_use(keys, first) is None


# The keys of sources


def test_each_source_gets_a_key_of_its_own(keys: WriteKeyStore) -> None:
    web = keys.create("web", origins=["https://App.example/", "http://localhost:3000"], server_only=False)
    billing = keys.create("billing", origins=[], server_only=True)
    other = keys.create("other", origins=[], server_only=False)

    assert len({web, billing, other}) == 3
    assert in_use(keys, web) == WriteKey(
        "web",
        bytes.fromhex(hashed(web)),
        frozenset({"https://app.example", "http://localhost:3000"}),
    )
    assert in_use(keys, billing) == WriteKey("billing", bytes.fromhex(hashed(billing)), server_only=True)
    assert in_use(keys, other) == WriteKey("other", bytes.fromhex(hashed(other)))
    assert not any(key in document(keys) for key in (web, billing, other))


def test_a_revoked_key_opens_nothing_and_its_name_is_free(keys: WriteKeyStore) -> None:
    old, other = (keys.create(name, origins=[], server_only=False) for name in ("web", "other"))
    with pytest.raises(CommandError, match="web has a key"):
        keys.create("web", origins=[], server_only=False)

    keys.revoke("web")

    assert in_use(keys, old) is None
    assert in_use(keys, other) is not None
    assert [("revoked" in entry) for entry in keys.read()] == [True, False]
    new = keys.create("web", origins=[], server_only=False)
    assert in_use(keys, new) is not None
    assert in_use(keys, old) is None


def test_what_is_not_there_cannot_be_revoked(keys: WriteKeyStore) -> None:
    keys.create("web", origins=[], server_only=False)
    before = document(keys)

    with pytest.raises(CommandError, match="in use: web"):
        keys.revoke("wbe")
    assert document(keys) == before


@pytest.mark.parametrize("name", ["", "Web", "a b", "-web", "x" * 65, "é", "web\n", "{{web}}"])
def test_a_source_has_a_plain_name(keys: WriteKeyStore, name: str) -> None:
    with pytest.raises(CommandError, match="no name for a source"):
        keys.create(name, origins=[], server_only=False)
    assert stored(keys) == []


def test_a_key_is_for_pages_or_for_servers(keys: WriteKeyStore) -> None:
    with pytest.raises(CommandError, match="not for both"):
        keys.create("web", origins=["https://app.example"], server_only=True)
    assert stored(keys) == []


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example", "https://app.example"),
        (" HTTPS://App.Example/ ", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(text: str, origin: str) -> None:
    assert as_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "app.example", "*", "null", "https://", "https://app.example/path", "ftp://app.example", "https://*.example"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="no origin"):
        as_origin(text)


def test_a_bound_key_is_refused_elsewhere(keys: WriteKeyStore) -> None:
    key = in_use(keys, keys.create("web", origins=["https://app.example:443"], server_only=False))
    assert key is not None
    key.check_origin("https://app.example")
    with pytest.raises(RequestRefusedError):
        key.check_origin("https://evil.example")


# The room in the parameter


def test_more_than_four_kilobytes_of_keys_need_an_advanced_parameter(keys: WriteKeyStore) -> None:
    put(keys, [{"source": f"s{i}", "sha256": "0" * 64} for i in range(45)])
    keys.create("one-more", origins=[], server_only=False)
    assert len(document(keys)) > 4096
    [described] = keys.ssm.describe_parameters()["Parameters"]
    assert described["Tier"] == "Intelligent-Tiering"


def test_revoked_keys_make_way_the_oldest_first(keys: WriteKeyStore) -> None:
    revoked = [
        {"source": f"r{i}", "sha256": "0" * 64, "revoked": f"2026-01-{1 + i % 28:02d}T00:{i // 60:02d}:{i % 60:02d}Z"}
        for i in range(80)
    ]
    put(keys, revoked)
    keys.create("new", origins=[], server_only=False)
    left = keys.read()
    assert len(document(keys)) <= MAX_PARAMETER_BYTES
    assert left[-1]["source"] == "new"
    gone = {entry["revoked"] for entry in revoked} - {entry["revoked"] for entry in left[:-1]}
    assert 0 < len(gone) < 80
    assert max(gone) < min(entry["revoked"] for entry in left[:-1])


def test_when_there_is_no_room_it_is_said_how_many_fit(keys: WriteKeyStore) -> None:
    entries = [{"source": f"s{i:02d}", "sha256": "0" * 64} for i in range(88)]
    put(keys, entries)
    with pytest.raises(CommandError, match=r"8192 bytes, which is \d+ keys of \d+ bytes, and there are 89") as caught:
        keys.create("one-more", origins=[], server_only=False)
    fit = int(re.findall(r"is (\d+) keys", str(caught.value))[0])
    assert 80 <= fit < 89
    assert stored(keys) == entries


def test_two_who_write_at_once_do_not_lose_a_key_unnoticed(keys: WriteKeyStore) -> None:
    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(keys.ssm, name)

        def put_parameter(self, **arguments: Any) -> Any:
            WriteKeyStore(keys.ssm, PARAMETER).create("theirs", origins=[], server_only=False)
            return keys.ssm.put_parameter(**arguments)

    racing: Any = Racing()
    with pytest.raises(CommandError, match="somebody else"):
        WriteKeyStore(racing, PARAMETER).create("ours", origins=[], server_only=False)
