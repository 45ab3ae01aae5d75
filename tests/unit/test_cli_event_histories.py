"""Leads come from files of events as they would from the table: joined by claims alone, each event once."""

from __future__ import annotations

import gzip
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from leadscore.core.identity import Ownership, display_id
from leadscore.core.instants import parse_instant
from leadscore.core.ruleset import IdentityPolicy
from leadscore.usecases.histories import History
from leadscore_cli.event_histories import EventHistories, read_event_histories
from leadscore_cli.failures import CommandError

NOW = parse_instant("2026-03-01T00:00:00Z")
BY_EMAIL = IdentityPolicy(email=True)


def event(number: int, kind: str = "track", *, day: int | None = None, **fields: object) -> dict[str, object]:
    named = {"event": "Opened"} if kind == "track" else {}
    time = f"2026-01-{day or number:02}T12:00:00Z"
    return {"type": kind, "messageId": f"m{number}", "timestamp": time, **named, **fields}


def read(path: Path, *events: object, policy: IdentityPolicy = BY_EMAIL) -> EventHistories:
    path.mkdir(exist_ok=True)
    (path / "events.ndjson").write_text("\n".join(json.dumps(one) for one in events) + "\n")
    return read_event_histories([str(path)], policy, NOW)


def ids(history: History) -> list[str]:
    return sorted(str(one["messageId"]) for one in history.events)


def leads(histories: EventHistories) -> dict[str, list[str]]:
    return {display_id(history.lead): ids(history) for history in histories}


def test_what_a_visitor_did_before_signing_up_is_the_users(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        event(1, anonymousId="8f2e"),
        event(2, anonymousId="other"),
        event(3, "identify", userId="ada", anonymousId="8f2e", traits={"email": "Ada@acme.example"}),
        event(4, "identify", anonymousId="phone", traits={"email": "ada@acme.example"}),
    )

    assert leads(found) == {"ada": ["m1", "m3", "m4"], "anonymous:other": ["m2"]}
    assert len(found) == 2
    [ada] = [one for one in found if one.lead == "user:ada"]
    assert ada.owners == {
        "anonymous:8f2e": Ownership(parse_instant("2026-01-03T12:00:00Z"), "m3", "user:ada"),
        "email:ada@acme.example": Ownership(parse_instant("2026-01-03T12:00:00Z"), "m3", "user:ada"),
    }


def test_an_identity_belongs_to_whoever_claimed_it_first_in_whatever_order_that_is_read(tmp_path: Path) -> None:
    seen = event(1, anonymousId="shared")
    first = event(3, userId="ada", anonymousId="shared")
    second = event(4, userId="ben", anonymousId="shared")

    for order in permutations((seen, first, second)):
        assert leads(read(tmp_path, *order)) == {"ada": ["m1", "m3"], "ben": ["m4"]}


def test_without_the_policy_an_address_joins_nobody(tmp_path: Path) -> None:
    one = event(1, "identify", userId="ada", traits={"email": "a@acme.example"})
    other = event(2, "identify", anonymousId="8f2e", traits={"email": "a@acme.example"})

    assert len(read(tmp_path, one, other, policy=IdentityPolicy())) == 2
    assert len(read(tmp_path, one, other)) == 1


def test_a_repeated_message_counts_once(tmp_path: Path) -> None:
    one = event(1, userId="ada")

    assert leads(read(tmp_path, one, one, event(2, userId="ada"))) == {"ada": ["m1", "m2"]}


def test_what_others_said_of_the_account_comes_along_once_each_time_it_changed(tmp_path: Path) -> None:
    def says(number: int, who: str, **traits: object) -> dict[str, object]:
        return event(number, "group", userId=who, groupId="acme", traits=traits)

    found = read(
        tmp_path,
        says(1, "ada", employees=10),
        says(2, "ben", employees=10),
        says(3, "ben", employees=300),
        says(4, "carl", employees=300, plan="team"),
        event(5, userId="dora", groupId="acme"),
        event(6, userId="eve"),
    )

    told = {display_id(one.lead): [str(e["messageId"]) for e in one.account_events] for one in found}
    assert told == {
        "ada": ["m3", "m4"],
        "ben": ["m1", "m4"],
        "carl": ["m1", "m3"],
        "dora": ["m1", "m3", "m4"],
        "eve": [],
    }


def test_the_newest_event_is_the_end_of_what_is_known(tmp_path: Path) -> None:
    found = read(tmp_path, event(9, userId="ada"), event(2, userId="ada"))

    assert found.newest == parse_instant("2026-01-09T12:00:00Z")
    assert found.events == 2


def test_events_are_as_the_log_has_them(tmp_path: Path) -> None:
    (history,) = read(tmp_path, event(1, "identify", userId="ada", traits={"title": "CEO"}, sentAt=None))

    kept: Any = history.events[0]
    assert kept["timestamp"] == "2026-01-01T12:00:00.000Z"
    assert kept["receivedAt"] == "2026-01-01T12:00:00.000Z"
    assert kept["traits"] == {"title": "CEO"}
    assert "sentAt" not in kept


def test_lines_that_are_no_events_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    packed = tmp_path / "events.gz"
    text = f"{json.dumps(event(1, userId='ada'))}\n\nnonsense\n{json.dumps({'type': 'track'})}\n"
    packed.write_bytes(gzip.compress(text.encode()))

    found = read_event_histories([str(packed)], BY_EMAIL, NOW)

    assert found.events == 1
    assert found.rejected == {"invalid_json": 1, "missing_timestamp": 1}


def test_the_bytes_that_were_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(json.dumps(event(1, userId="ada")) + "\n")
    seen: list[int] = []

    read_event_histories([str(path)], BY_EMAIL, NOW, seen.append)

    assert sum(seen) == path.stat().st_size


def test_files_without_events_are_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").write_text("nonsense\n")

    with pytest.raises(CommandError, match=r"no events in .*; 1 lines are none"):
        read_event_histories([str(tmp_path)], BY_EMAIL, NOW)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.gz").write_bytes(gzip.compress(b'{"type": "track"}\n' * 50)[:-12])

    with pytest.raises(CommandError, match=r"events\.gz cannot be read"):
        read_event_histories([str(tmp_path)], BY_EMAIL, NOW)
