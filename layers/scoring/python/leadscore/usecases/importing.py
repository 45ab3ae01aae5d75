"""Importing history: lines of archives become messages on the events queue, marked as imported.

    lines --> some at a time: parse, normalise as of their receipt, leave out what the log would not hold
          --> by lead, so that one write takes what is about one --> queue --> how far it came

Invariant: how far it came is told after the queue has everything before that. So whoever goes on from there loses
nothing, and what is sent twice is known by its message id. A bad line stops nothing and is told of by its number,
code and reason alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, Protocol, Self, cast

from leadscore.archive_lines import DamagedArchiveError, Line, Place, Source, read_lines
from leadscore.archives import normalise_past_event
from leadscore.core.instants import Millis, parse_instant
from leadscore.ingest.decoding import NotJsonError, parse_json
from leadscore.normalising import InvalidEvent, NormalisedEvent, changes_nothing
from leadscore.usecases.ingesting import EventQueue

# Whose events they are to the metrics.
SOURCE = "import"
# Of these one window is sent at a time, sorted by lead; more would only be more to repeat.
_MOST_AT_ONCE, _FEWEST_AT_ONCE = 1000, 10
_MOST_BYTES_AT_ONCE = 16 * 1024 * 1024
# What is told after one call: a file may be of another kind altogether.
MOST_TOLD = 100


class UnreadableSourceError(Exception):
    """A file of an archive cannot be opened or read; the text says why."""


class Rejected(NamedTuple):
    """One line that was not taken, or with line 0 a whole file. `text` may hold anything: never log it."""

    line: int
    code: str
    message: str
    text: bytes | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of lines: `expired` are events that are older than the log holds any; `rejected` is by code."""

    accepted: int = 0
    expired: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        rejected = Counter(self.rejected) + Counter(other.rejected)
        return Counts(self.accepted + other.accepted, self.expired + other.expired, dict(rejected))

    @property
    def all_rejected(self) -> int:
        """How many were rejected."""
        return sum(self.rejected.values())

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the counts that `to_dict` gave; raises TypeError for other fields."""
        return cls(**values)  # type: ignore[arg-type]


class Step(NamedTuple):
    """Lines that are done: the place behind them, what became of them, and those that were not taken."""

    place: Place
    counts: Counts
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class Importer:
    """How history is taken in: `retention` is how long the log holds an event, `pace` waits before so many are sent."""

    queue: EventQueue
    clock: Callable[[], Millis]
    retention: Millis
    pace: Callable[[int], None]
    at_once: int

    def run(self, source: Source, start: Place | None = None) -> Iterator[Step]:
        """Yield each step once the queue has it; raises what the queue and the source raise.

        A file that is damaged is told of as a line that is rejected, after what was read of it.
        """
        place = start or Place()
        lines = read_lines(source, place)
        while some := self._next_lines(lines):
            damage = [one for one in some if isinstance(one, Rejected)]
            sound = [one for one in some if isinstance(one, Line)]
            bodies, step = self._prepare(sound, place)
            if bodies:
                self.pace(len(bodies))
                self.queue.send_all(bodies)
            place = step.place
            yield step if not damage else _with_damage(step, damage)

    def _next_lines(self, lines: Iterator[Line]) -> list[Line | Rejected]:
        some: list[Line | Rejected] = []
        size = 0
        try:
            for line in lines:
                some.append(line)
                size += len(line.text or b"")
                if len(some) == self.at_once or size >= _MOST_BYTES_AT_ONCE:
                    break
        except DamagedArchiveError as damage:
            some.append(Rejected(0, "damaged_file", str(damage)))
        return some

    def _prepare(self, lines: Sequence[Line], start: Place) -> tuple[list[str], Step]:
        now = self.clock()
        events: list[NormalisedEvent] = []
        expired, rejected = 0, []
        for line in lines:
            if line.text is not None and not line.text.strip():
                continue
            try:
                event = read_past_event(line, now)
            except InvalidEvent as problem:
                rejected.append(Rejected(line.end.line, problem.code, problem.message, line.text))
                continue
            if parse_instant(str(event["receivedAt"])) + self.retention <= now:
                expired += 1
            else:
                events.append(event)
        counts = Counts(len(events), expired, dict(Counter(each.code for each in rejected)))
        # Neighbours in the queue mostly come to `score` together.
        said = sorted((event for event in events if not changes_nothing(event)), key=_lead)
        return [imported_body(event) for event in said], Step(lines[-1].end if lines else start, counts, rejected)


def batch_size(events_per_second: float) -> int:
    """Return how many events are well sent at once at that pace."""
    return int(min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, events_per_second)))


def imported_body(event: NormalisedEvent) -> str:
    """Return an imported event's message for the events queue, in plain ASCII."""
    return json.dumps({"event": event, "source": SOURCE, "imported": True}, separators=(",", ":"))


class Archive(Protocol):
    """A bucket of an archive."""

    def find(self, key: str) -> Source:
        """Return the object of that key; opening it raises UnreadableSourceError where it cannot be read."""


@dataclass(frozen=True, slots=True)
class ObjectsToImport:
    """Objects of an archive that are left to do, the first from a place on: what one call hands to the next.

    `objects` and `counts` are of what is done. `is_waiting` says that the queue is to be given time.
    """

    keys: tuple[str, ...]
    place: Place = field(default_factory=Place)
    objects: int = 0
    counts: Counts = field(default_factory=Counts)
    is_waiting: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return what `to_dict` gave, or what the state machine's Map hands out: objects, each with its `Key`.

        The local emulator has no batches of them: there it is one object.
        """
        match values:
            case {"keys": list(keys), "offset": int(offset), "line": int(line), "objects": int(objects), **rest}:
                counts = Counts.from_dict(cast(Mapping[str, object], rest["counts"]))
                return cls(tuple(map(str, keys)), Place(offset, line), objects, counts)
            case {"Items": list(items)}:
                return cls(tuple(str(item["Key"]) for item in items))
            case {"Key": str(key)}:
                return cls((key,))
        raise ValueError("neither objects to import nor how far that came")

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON types."""
        return {
            "keys": list(self.keys),
            "offset": self.place.offset,
            "line": self.place.line,
            "objects": self.objects,
            "counts": self.counts.to_dict(),
            "done": not self.keys,
            "waiting": self.is_waiting,
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a call: its time, or a queue in which live events would wait too long behind the imported."""

    is_time_up: Callable[[], bool]
    is_queue_full: Callable[[], bool]


def work_on_objects(
    importer: Importer, archive: Archive, left: ObjectsToImport, limits: Limits
) -> tuple[ObjectsToImport, list[tuple[str, Rejected]]]:
    """Import objects until all are done, or a limit is met; return what is left, and the first lines not taken.

    What cannot be read is told of and stops nothing. Raises what the queue raises: then the same is to be done again.
    """
    told: list[tuple[str, Rejected]] = []
    while left.keys:
        key = left.keys[0]
        try:
            for step in _until_full(importer, archive.find(key), left.place, limits):
                if step is None:
                    return replace(left, is_waiting=True), told
                left = replace(left, place=step.place, counts=left.counts + step.counts)
                told += [(key, each._replace(text=None)) for each in step.rejected[: MOST_TOLD - len(told)]]
                if limits.is_time_up():
                    return left, told
        except UnreadableSourceError as problem:
            lost = Rejected(0, "unreadable_object", str(problem))
            left = replace(left, counts=left.counts + Counts(rejected={lost.code: 1}))
            told += [(key, lost)][: MOST_TOLD - len(told)]
        left = replace(left, keys=left.keys[1:], place=Place(), objects=left.objects + 1)
    return left, told


def _until_full(importer: Importer, source: Source, start: Place, limits: Limits) -> Iterator[Step | None]:
    steps = importer.run(source, start)
    while True:
        if limits.is_queue_full():
            yield None
            return
        step = next(steps, None)
        if step is None:
            return
        yield step


def read_past_event(line: Line, now: Millis) -> NormalisedEvent:
    """Return the event that a line of an archive holds, as it is in the log; raises InvalidEvent."""
    if line.text is None:
        raise InvalidEvent("line_too_long", "the line is longer than any event")
    try:
        text = line.text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidEvent("invalid_text", "the line is not UTF-8 text") from None
    try:
        return normalise_past_event(parse_json(text), now=now)
    except NotJsonError as problem:
        raise InvalidEvent("invalid_json", f"the line is {problem}") from None


def _lead(event: NormalisedEvent) -> str:
    return str(event.get("userId") or event["anonymousId"])


def _with_damage(step: Step, damage: Sequence[Rejected]) -> Step:
    counts = step.counts + Counts(rejected=dict(Counter(each.code for each in damage)))
    return step._replace(counts=counts, rejected=[*step.rejected, *damage])
