"""Laws of the import: what is imported equals what came live, whatever the archive, the split and the interruptions."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any

from hypothesis import assume, given
from hypothesis import strategies as st

from leadscore import State, advance
from leadscore.archive_lines import Place
from leadscore.archives import normalise_past_event
from leadscore.core.instants import DAY, Millis, format_instant, from_datetime, parse_instant
from leadscore.core.state import says_the_same
from leadscore.usecases.batches import Queues, score_batch
from leadscore.usecases.importing import Importer
from leadscore.usecases.scoring import Tools
from tests.contract.memory_store import MemoryStore
from tests.property.archived import SdkEvent, as_lines, in_rudderstacks_archive, in_segments_archive, live
from tests.simulation.checking import find_truth
from tests.unit.test_score_batch import RULES

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = from_datetime(AT)
clocks = st.integers(NOW - 30 * DAY, NOW)
seeds = st.integers(0, 2**32)


@st.composite
def sent_events(draw: st.DrawFn) -> tuple[SdkEvent, Millis]:
    """An event as an SDK sends it by a clock of its own, and when it was received by the server's."""
    called = draw(clocks)
    sent = called + draw(st.integers(0, 5_000_000))
    event = {
        "messageId": "m1",
        "type": "page",
        "userId": "ada",
        "timestamp": format_instant(called),
        "sentAt": format_instant(sent),
    }
    return event, draw(clocks)


@given(sent_events())
def test_segments_archive_gives_what_came_live(sent: tuple[SdkEvent, Millis]) -> None:
    event, received = sent
    assert normalise_past_event(in_segments_archive(event, received), now=NOW) == live(event, received)


@given(sent_events(), st.none() | clocks)
def test_rudderstacks_archive_gives_what_came_live(sent: tuple[SdkEvent, Millis], caller: Millis | None) -> None:
    event, received = sent
    event = {**event, "originalTimestamp": event["timestamp"]}
    del event["timestamp"]
    if caller is not None:
        called, when = parse_instant(event["originalTimestamp"]), parse_instant(event["sentAt"])
        # By its instants alone such a one cannot be told from one that the server made.
        assume(abs(caller - (received - (when - called))) > 3)
        event["timestamp"] = format_instant(caller)
    assert normalise_past_event(in_rudderstacks_archive(event, received), now=NOW) == live(event, received)


class Archive:
    """A file in memory."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content

    def open(self, offset: int) -> IO[bytes]:
        return io.BytesIO(self.content[offset:])


class Queue:
    """Takes messages, and fails now and then before or after it has."""

    def __init__(self, chance: random.Random, failing: float = 0.0) -> None:
        self.bodies: list[str] = []
        self._chance = chance
        self._failing = failing

    def send_all(self, bodies: Sequence[str]) -> None:
        taken = self._chance.randrange(len(bodies) + 1) if self._chance.random() < self._failing else len(bodies)
        self.bodies += bodies[:taken]
        if taken < len(bodies):
            raise ConnectionError("the queue is down")


def make_crowd(chance: random.Random) -> list[tuple[SdkEvent, Millis]]:
    return [_make_event(chance, number) for number in range(40)]


def _make_event(chance: random.Random, number: int) -> tuple[SdkEvent, Millis]:
    called = NOW - chance.randrange(20 * DAY)
    received = min(NOW, called + chance.randrange(100_000))
    person = chance.randrange(4)
    ids: dict[str, Any] = {"userId": f"u{person}", "anonymousId": f"d{chance.choice((person, (person + 1) % 4))}"}
    if chance.random() < 0.6:
        del ids[chance.choice(list(ids))]
    said: dict[str, Any] = chance.choice(
        (
            {"type": "identify", "traits": {"title": chance.choice(("VP Sales", "Engineer", None))}},
            {"type": "group", "groupId": chance.choice("ab"), "traits": {"employees": chance.choice((20, 300))}},
            {"type": "track", "event": chance.choice(("Trial Started", "Clicked", "Subscription Started"))},
            {"type": "page", "properties": {"path": "/pricing"}},
        )
    )
    sent = {"timestamp": format_instant(called), "sentAt": format_instant(called + chance.randrange(3_000))}
    return {"messageId": f"m{number}", **ids, **said, **sent}, received


def write_archives(chance: random.Random, crowd: Sequence[tuple[SdkEvent, Millis]]) -> list[Archive]:
    """Spread events over files of both archives, plain and gzip, some of them twice."""
    copies = [*crowd, *chance.sample(crowd, len(crowd) // 5)]
    chance.shuffle(copies)
    files: list[list[dict[str, Any]]] = [[] for _ in range(3)]
    for event, received in copies:
        if chance.random() < 0.5:
            archived = in_segments_archive(event, received)
        else:
            moved = {name: value for name, value in event.items() if name != "timestamp"}
            archived = in_rudderstacks_archive({**moved, "originalTimestamp": event["timestamp"]}, received)
        chance.choice(files).append(archived)
    return [Archive(f"f{n}", chance.choice((bytes, gzip.compress))(as_lines(some))) for n, some in enumerate(files)]


def import_amid_failures(chance: random.Random, archives: Sequence[Archive]) -> list[str]:
    """Import every file, going on after each failure where the last step had ended; return the messages."""
    queue = Queue(chance, failing=0.3)
    for archive in archives:
        importer = Importer(
            queue=queue, clock=lambda: NOW, retention=400 * DAY, pace=lambda _: None, at_once=chance.randrange(1, 12)
        )
        place, is_done = Place(), False
        while not is_done:
            try:
                for step in importer.run(archive, place):
                    place = step.place
                is_done = True
            except ConnectionError:
                continue
    return queue.bodies


def score_in_batches(chance: random.Random, bodies: Sequence[str]) -> MemoryStore:
    """Score messages in any order and batches, and what they send to the queue."""
    store, tools_of = MemoryStore(), Queue(chance)
    tools = Tools(store, RULES, lambda: AT, lambda _: None)
    waiting = list(bodies)
    chance.shuffle(waiting)
    while waiting:
        size = chance.randrange(1, 8)
        some, waiting = waiting[:size], waiting[size:]
        records = [{"messageId": str(number), "body": body} for number, body in enumerate(some)]
        assert score_batch(tools, Queues(tools_of, Queue(chance)), records, store).retry == []
        waiting += tools_of.bodies
        tools_of.bodies = []
    return store


@given(seeds)
def test_any_import_leaves_what_coming_live_would_and_alerts_nobody(seed: int) -> None:
    chance = random.Random(seed)
    crowd = make_crowd(chance)
    bodies = import_amid_failures(chance, write_archives(chance, crowd))
    store = score_in_batches(chance, bodies)
    events = [live(event, received) for event, received in crowd]
    assert {json.loads(body)["event"]["messageId"] for body in bodies} == {event["messageId"] for event in events}
    truth = find_truth(RULES, events)
    owners = {name: one.owner.owner for name, one in store.identities.items() if one.owner is not None}
    assert owners == truth.owners
    for root, log in truth.leads().items():
        body = store.identities[root].body if root in store.identities else None
        kept = State.from_json(RULES, body.state) if body is not None else State.empty(RULES)
        assert says_the_same(kept, advance(State.empty(RULES), log)), root
    logged = [dict(event) for name in truth.logs for event in store.load_events(name)]
    assert sorted(logged, key=_id) == sorted(events, key=_id)
    changes = [change for name in store.identities for change in store.pending(name)]
    assert {change.cause for change in changes} <= {"import"}
    assert "wanted" not in {change.alert for change in changes}


def _id(event: dict[str, Any]) -> str:
    return str(event["messageId"])
