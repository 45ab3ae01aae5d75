"""What a person is handed is all that is held about that person, in order, each thing once, on bounded pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from leadscore.core.identity import pseudonym
from leadscore.usecases import exporting
from leadscore.usecases.alert_records import ChangeKey, ChangeRecord
from leadscore.usecases.exporting import Place, export_lead
from leadscore.usecases.queries import InvalidQueryError
from leadscore.usecases.standing import read_lead
from tests.contract.memory_desks import MemoryDesks
from tests.contract.memory_store import MemoryStore
from tests.contract.test_desks import CHANGE
from tests.unit.test_erasing import ADA, LIFE, NOW, RULES, TREE, erase, make_ada, make_event, score


def pages_of(store: MemoryStore, who: str = "ada", now: datetime = NOW) -> Iterator[list[dict[str, Any]]]:
    """Yield the lines of each page but its last, which says where the next page begins."""
    cursor = None
    while True:
        page = export_lead(store, MemoryDesks(), RULES, who, now, cursor)
        assert page is not None
        *lines, last = map(json.loads, page.splitlines())
        assert last.keys() == {"kind", "next_cursor"}
        assert last["kind"] == "page"
        yield lines
        cursor = last["next_cursor"]
        if cursor is None:
            return


@pytest.mark.parametrize("who", ["ada", "laptop", "ada@acme.example"])
def test_an_export_has_the_lead_then_every_event_oldest_first_then_what_is_pending(who: str) -> None:
    store = make_ada(MemoryStore())
    [lines] = pages_of(store, who)
    assert [line["kind"] for line in lines] == ["lead", *["event"] * len(LIFE), "change"]
    events = [line["event"] for line in lines if line["kind"] == "event"]
    assert events == sorted(LIFE, key=lambda event: (event["timestamp"], event["messageId"]))
    assert [line["change"]["id"] for line in lines if line["kind"] == "change"] == [
        change.id for change in store.pending(ADA)
    ]


def test_each_event_says_under_which_identity_it_is_held() -> None:
    store = make_ada(MemoryStore())
    [lines] = pages_of(store)
    held = {(line["identity"], line["event"]["messageId"]) for line in lines if line["kind"] == "event"}
    assert held == {(name, message) for name, log in store.log.items() for message in log}


def test_the_lead_is_told_with_identities_traits_accounts_and_score_as_of_now() -> None:
    store = make_ada(MemoryStore())
    lead = next(pages_of(store))[0]
    view = read_lead(store, RULES, "ada", NOW)
    assert view is not None
    assert set(lead.pop("identities")) == TREE
    assert lead == {
        "kind": "lead",
        "id": "ada",
        "traits": {"email": "ada@acme.example"},
        "account": "beta",
        "account_traits": {},
        "accounts": ["acme", "beta"],
        "score": view.score.to_dict(),
        "explanation": view.to_dict()["explanation"],
        "alerts": {
            "armed": True,
            "last_alert": None,
            "earlier_alert": None,
            "last_raise": None,
            "heard_raise": None,
        },
        "announced_score": None,
    }
    assert lead["score"]["total"] == 70.0
    assert len(lead["score"]["factors"]) == 2


def test_the_score_that_machines_were_told_is_told() -> None:
    store = make_ada(MemoryStore())
    [name] = [name for name, one in store.identities.items() if one.body is not None]
    root = store.identities[name]
    assert root.body is not None
    store.identities[name] = replace(root, body=replace(root.body, announced=69.5))
    assert next(pages_of(store))[0]["announced_score"] == 69.5


def test_the_accounts_traits_that_count_for_a_lead_are_told() -> None:
    store = make_ada(MemoryStore())
    score(store, make_event("g3", "group", minutes=3, groupId="acme"))
    assert next(pages_of(store))[0]["account_traits"] == {"employees": 300}


def test_whose_events_have_all_matched_nothing_has_an_export_too() -> None:
    store = MemoryStore()
    score(store, make_event("m1", event="Slept"))
    [[lead, event]] = pages_of(store)
    assert (lead["id"], lead["alerts"], event["event"]["event"]) == ("ada", None, "Slept")


@pytest.mark.parametrize("who", ["eve", "ada"])
def test_there_is_no_export_of_who_is_unknown_or_erased(who: str) -> None:
    store = make_ada(MemoryStore())
    erase(store)
    assert export_lead(store, MemoryDesks(), RULES, who, NOW) is None


def test_pages_of_any_size_put_together_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_ada(MemoryStore())
    score(store, *(make_event(f"p{i}", "page", minutes=i // 3, note="ü" * i) for i in range(40)))
    store.put_events("anonymous:laptop", [make_event("p1", "page", anonymousId="laptop")])
    ada = store.identities[ADA]
    store.identities[ADA] = replace(ada, pending=(*ada.pending, replace(ada.pending[0], id="another")))
    [whole] = pages_of(store)
    assert len(whole) == 1 + len(LIFE) + 41 + 2
    for size in (1, 400, 1000, 5000):
        monkeypatch.setattr(exporting, "PAGE_BYTES", size)
        pages = list(pages_of(store))
        assert [line for page in pages for line in page] == whole
        assert len(pages) > 1
        for page in pages:
            written = sum(len(json.dumps(line, separators=(",", ":"))) + 1 for line in page)
            assert len(page) == 1 or written <= size


def test_a_page_is_ascii_so_that_its_size_is_its_length() -> None:
    store = make_ada(MemoryStore())
    score(store, make_event("u1", event="Prüfung begonnen", properties={"wer": "Ada Lövelace"}))
    page = export_lead(store, MemoryDesks(), RULES, "ada", NOW)
    assert page is not None
    assert page.isascii()
    assert page.endswith("\n")


def test_an_event_that_comes_between_two_pages_neither_repeats_nor_hides_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = make_ada(MemoryStore())
    monkeypatch.setattr(exporting, "PAGE_BYTES", 1)
    seen: list[str] = []
    for number, page in enumerate(pages_of(store)):
        seen += [line["event"]["messageId"] for line in page if line["kind"] == "event"]
        score(store, make_event(f"early{number}", "page", minutes=-9 - number))
    early = [name for name in seen if name.startswith("early")]
    assert sorted(set(seen) - set(early)) == sorted(str(event["messageId"]) for event in LIFE)
    assert len(seen) == len(set(seen))


def test_a_cursor_names_nobody_and_is_read_back() -> None:
    place = Place(1, "2026-03-01T12:00:00.000Z", "m1", "0" * 32)
    assert Place.decode(place.encode()) == place
    assert not {"+", "/", "="} & set(place.encode())


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "bm90IGpzb24=", "W10", "WyJhIl0", "WzEsMl0", "WzEsImEiLCJiIiwiYyIsImQiXQ", "eyJhIjoxfQ", "W3RydWVd"],
)
def test_a_cursor_that_no_page_ended_with_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidQueryError, match="cursor"):
        export_lead(make_ada(MemoryStore()), MemoryDesks(), RULES, "ada", NOW, cursor)


def test_a_lead_is_exported_as_of_the_instant_of_the_call() -> None:
    later = datetime(2026, 9, 1, tzinfo=UTC)
    lead = next(pages_of(make_ada(MemoryStore()), now=later))[0]
    assert lead["score"]["at"].startswith("2026-09-01")


def test_what_became_of_changes_is_in_the_export_of_their_lead_alone() -> None:
    desks = MemoryDesks()
    for lead in ("user:ada", "user:bob"):
        key = ChangeKey(pseudonym(lead), f"c-{lead}")
        desks.note(ChangeRecord(key, replace(CHANGE, id=key.change), "suppressed", "has converted"))
    page = export_lead(make_ada(MemoryStore()), desks, RULES, "ada", NOW)
    assert page is not None
    [record] = [line for line in map(json.loads, page.splitlines()) if line["kind"] == "record"]
    assert (record["change"]["id"], record["outcome"], record["reason"]) == (
        "c-user:ada",
        "suppressed",
        "has converted",
    )
