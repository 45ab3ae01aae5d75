"""Lines of archives become messages: plain and gzip, from any place, what is bad or too old, and how a call ends."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import IO, Any

import pytest

from leadscore.archive_lines import MAX_LINE_BYTES, Place, read_lines
from leadscore.core.instants import DAY, format_instant, parse_instant
from leadscore.usecases.importing import (
    MOST_TOLD,
    Counts,
    Importer,
    Limits,
    ObjectsToImport,
    Rejected,
    Step,
    UnreadableSourceError,
    batch_size,
    work_on_objects,
)
from tests.property.archived import as_lines

NOW = parse_instant("2026-03-01T12:00:00.000Z")
RETENTION = 400 * DAY


@dataclass
class Bytes:
    """A file in memory that counts how much is read of it."""

    content: bytes
    name: str = "file"
    opened: list[int] = field(default_factory=list)

    def open(self, offset: int) -> IO[bytes]:
        self.opened.append(offset)
        return io.BytesIO(self.content[offset:])


@dataclass
class Queue:
    sent: list[list[dict[str, Any]]] = field(default_factory=list)
    down: bool = False

    def send_all(self, bodies: Sequence[str]) -> None:
        if self.down:
            raise ConnectionError("the queue is down")
        self.sent.append([json.loads(body) for body in bodies])

    @property
    def ids(self) -> list[str]:
        return [body["event"]["messageId"] for bodies in self.sent for body in bodies]


def importer(queue: Queue, at_once: int = 10, pace: Callable[[int], None] = lambda _: None) -> Importer:
    return Importer(queue=queue, clock=lambda: NOW, retention=RETENTION, pace=pace, at_once=at_once)


def event(number: int, days_ago: float = 1, **more: object) -> dict[str, object]:
    at = format_instant(NOW - int(days_ago * DAY))
    said: dict[str, object] = {"messageId": f"m{number}", "type": "track", "event": "Clicked", "timestamp": at}
    return {**said, "userId": f"u{number % 3}", **more}


def text_of(number: int) -> bytes:
    return as_lines(event(each) for each in range(number))


def packed(text: bytes) -> bytes:
    """Gzip in two members, as archives that were put together have it."""
    return gzip.compress(text[:300]) + gzip.compress(text[300:])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, packed])
def test_every_event_of_a_file_is_sent_marked_and_some_at_a_time(pack: Callable[[bytes], bytes]) -> None:
    queue = Queue()
    steps = list(importer(queue).run(Bytes(pack(text_of(25)))))
    assert sorted(queue.ids) == sorted(f"m{number}" for number in range(25))
    assert [len(bodies) for bodies in queue.sent] == [10, 10, 5]
    assert {(body["source"], body["imported"]) for bodies in queue.sent for body in bodies} == {("import", True)}
    assert [step.counts.accepted for step in steps] == [10, 10, 5]
    assert steps[-1].place == Place(len(text_of(25)), 25)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, packed])
def test_what_was_interrupted_goes_on_at_its_place(pack: Callable[[bytes], bytes]) -> None:
    content, queue = pack(text_of(25)), Queue()
    first = next(importer(queue).run(Bytes(content)))
    rest = Queue()
    list(importer(rest).run(Bytes(content), first.place))
    assert sorted(queue.ids + rest.ids) == sorted(f"m{number}" for number in range(25))


def test_of_a_plain_file_only_the_rest_is_read() -> None:
    source = Bytes(text_of(25))
    place = next(importer(Queue()).run(source)).place
    source.opened.clear()
    list(importer(Queue()).run(source, place))
    assert source.opened == [0, place.offset]


def test_events_of_one_lead_are_neighbours() -> None:
    queue = Queue()
    list(importer(queue).run(Bytes(text_of(9))))
    users = [body["event"]["userId"] for body in queue.sent[0]]
    assert users == sorted(users)


def test_a_bad_line_stops_nothing_and_is_told_by_its_number() -> None:
    lines = [
        b"{not json",
        json.dumps(event(1)).encode(),
        b"",
        b"[]",
        b'{"type": "track", "event": "Clicked", "userId": "u1"}',
        b'{"type": "track", "type": "page", "userId": "u1"}',
        b'"\xff"',
        b"[" * 100_000,
        b"\xef\xbb\xbf" + json.dumps(event(2)).encode(),
    ]
    queue = Queue()
    [step] = importer(queue).run(Bytes(b"\r\n".join(lines)))
    assert sorted(queue.ids) == ["m1", "m2"]
    assert [(each.line, each.code) for each in step.rejected] == [
        (1, "invalid_json"),
        (4, "invalid_event"),
        (5, "missing_timestamp"),
        (6, "duplicate_keys"),
        (7, "invalid_text"),
        (8, "invalid_json"),
    ]
    assert step.counts == Counts(2, 0, {"invalid_json": 2, "invalid_event": 1, "missing_timestamp": 1} | {
        "duplicate_keys": 1, "invalid_text": 1
    })  # fmt: skip
    assert step.rejected[0].text == b"{not json"
    assert "not json" not in step.rejected[0].message


def test_a_line_without_end_is_refused_in_bounded_memory() -> None:
    text = b"x" * (3 * MAX_LINE_BYTES) + b"\n" + text_of(1)
    queue = Queue()
    [step] = importer(queue).run(Bytes(gzip.compress(text)))
    assert [(each.line, each.code, each.text) for each in step.rejected] == [(1, "line_too_long", None)]
    assert (queue.ids, step.place) == (["m0"], Place(len(text), 2))


def test_a_line_of_the_largest_size_is_read() -> None:
    [line] = read_lines(Bytes(b"x" * MAX_LINE_BYTES))
    assert line.text is not None
    assert [each.text for each in read_lines(Bytes(b"x" * (MAX_LINE_BYTES + 1)))] == [None]


@pytest.mark.parametrize("cut", [1, 4, 8, 30])
def test_damaged_gzip_is_told_of_after_what_was_read_of_it(cut: int) -> None:
    queue = Queue()
    steps = list(importer(queue).run(Bytes(gzip.compress(text_of(25))[:-cut])))
    told = [each for step in steps for each in step.rejected]
    assert [(each.line, each.code) for each in told] == [(0, "damaged_file")]
    assert len(queue.ids) >= (25 if cut <= 8 else 10)
    assert steps[-1].counts.rejected == {"damaged_file": 1}


@pytest.mark.parametrize("content", [b"", b"\n", b"{", b"\x1f"])
def test_next_to_nothing_is_read_without_fuss(content: bytes) -> None:
    queue = Queue()
    steps = list(importer(queue).run(Bytes(content)))
    assert queue.sent == []
    assert sum(step.counts.all_rejected for step in steps) == (content in (b"{", b"\x1f"))


def test_what_the_log_would_not_keep_is_left_out_and_counted() -> None:
    lines = as_lines(
        [event(1, 399.9), event(2, 400), event(3, 500), event(4, 500, receivedAt=format_instant(NOW - DAY))]
    )
    queue = Queue()
    [step] = importer(queue).run(Bytes(lines))
    assert (queue.ids, step.counts) == (["m1", "m4"], Counts(2, 2))


def test_what_says_nothing_is_accepted_and_not_sent() -> None:
    alias = event(1) | {"type": "alias", "previousId": "u1"}
    queue = Queue()
    [step] = importer(queue).run(Bytes(as_lines([alias])))
    assert (queue.sent, step.counts) == ([], Counts(1))


def test_it_waits_before_it_sends() -> None:
    order: list[object] = []
    queue = Queue()

    def pace(number: int) -> None:
        order.append((number, len(queue.sent)))

    list(importer(queue, pace=pace).run(Bytes(text_of(25))))
    assert order == [(10, 0), (10, 1), (5, 2)]


def test_nothing_is_told_of_as_done_that_the_queue_has_not_taken() -> None:
    queue = Queue(down=True)
    steps: list[Step] = []
    with pytest.raises(ConnectionError):
        steps.extend(importer(queue).run(Bytes(text_of(25))))
    assert steps == []


@pytest.mark.parametrize(("rate", "at_once"), [(1, 10), (200, 200), (5000, 1000), (0.5, 10)])
def test_a_slow_pace_has_small_steps(rate: float, at_once: int) -> None:
    assert batch_size(rate) == at_once


class Bucket:
    """Objects by their keys, of which some cannot be read."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects

    def find(self, key: str) -> Bytes:
        if key not in self.objects:
            return Lost(b"", key)
        return Bytes(self.objects[key], key)


class Lost(Bytes):
    def open(self, _offset: int) -> IO[bytes]:
        raise UnreadableSourceError("S3 says NoSuchKey")


def never() -> bool:
    return False


def from_the_second_time_on() -> Callable[[], bool]:
    times: Iterator[int] = count()
    return lambda: next(times) > 0


LIMITS = Limits(never, never)


def again(left: ObjectsToImport) -> ObjectsToImport:
    """Hand on what is left as the state machine does."""
    return ObjectsToImport.from_dict(json.loads(json.dumps(left.to_dict())))


def test_objects_are_worked_on_until_all_are_done() -> None:
    queue = Queue()
    lot = ObjectsToImport.from_dict({"Items": [{"Key": "a"}, {"Key": "b"}]})
    left, told = work_on_objects(importer(queue), Bucket(a=text_of(12), b=gzip.compress(text_of(3))), lot, LIMITS)
    assert (left.to_dict()["done"], left.objects, left.counts, told) == (True, 2, Counts(15), [])


def test_a_lot_may_be_one_object() -> None:
    assert ObjectsToImport.from_dict({"Key": "a"}) == ObjectsToImport(("a",))


@pytest.mark.parametrize("values", [{}, {"Items": "a"}, {"keys": ["a"]}])
def test_anything_else_is_no_lot(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="neither"):
        ObjectsToImport.from_dict(values)


def test_a_call_ends_when_its_time_is_up_and_the_next_goes_on_there() -> None:
    queue, bucket = Queue(), Bucket(a=gzip.compress(text_of(25)), b=text_of(5))
    left = ObjectsToImport(("a", "b"))
    calls = 0
    while left.keys:
        left, told = work_on_objects(importer(queue), bucket, again(left), replace(LIMITS, is_time_up=lambda: True))
        calls += 1
        assert told == []
    assert (calls, left.objects, left.counts) == (5, 2, Counts(30))
    assert sorted(queue.ids) == sorted([f"m{number}" for number in range(25)] + [f"m{number}" for number in range(5)])


def test_a_full_queue_is_given_time_before_any_more_is_read() -> None:
    queue, bucket = Queue(), Bucket(a=text_of(25))
    limits = replace(LIMITS, is_queue_full=from_the_second_time_on())
    left, _ = work_on_objects(importer(queue), bucket, ObjectsToImport(("a",)), limits)
    assert (left.to_dict()["waiting"], left.to_dict()["done"], len(queue.ids)) == (True, False, 10)
    left, _ = work_on_objects(importer(queue), bucket, again(left), LIMITS)
    assert (left.to_dict()["waiting"], left.to_dict()["done"], len(queue.ids)) == (False, True, 25)


def test_an_object_that_cannot_be_read_stops_no_other() -> None:
    queue = Queue()
    left, told = work_on_objects(importer(queue), Bucket(b=text_of(2)), ObjectsToImport(("a", "b")), LIMITS)
    assert (left.objects, left.counts) == (2, Counts(2, 0, {"unreadable_object": 1}))
    assert told == [("a", Rejected(0, "unreadable_object", "S3 says NoSuchKey"))]


def test_of_many_bad_lines_the_first_are_told_and_none_of_what_they_held() -> None:
    bucket = Bucket(a=b"secret\n" * 5000)
    left, told = work_on_objects(importer(Queue(), 1000), bucket, ObjectsToImport(("a",)), LIMITS)
    assert (len(told), left.counts.rejected) == (MOST_TOLD, {"invalid_json": 5000})
    assert "secret" not in repr(told)
