"""All that is held about one person, as lines of JSON: what the person may ask for, and what to keep before erasing.

    lead    identities, traits, accounts, score with its factors and reasons, what the alert policy remembers
    event   each event of each identity as the log has it, oldest first
    change  what is pending to be announced, oldest first
    record  each change that an alert could be about, and what became of it, oldest first
    quarantined  each event that does not count, and why, oldest first
    page    the last line of each page: where the next one begins, null when this was all

Invariant: pages put together hold every event that was in the log when the first one was asked for, each once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from leadscore.core.explaining import explain_score
from leadscore.core.identity import display_id, pseudonym
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.alert_records import ChangeRecord
from leadscore.usecases.forest import find_lead, load_kept, load_state, load_tree
from leadscore.usecases.queries import InvalidQueryError, read_cursor, write_cursor
from leadscore.usecases.records import LeadBody, Quarantined, Reader, StoredIdentity
from leadscore.usecases.standing import score_now

# Lambda answers 6 MB at most, as JSON, in which each quotation mark of ours becomes two characters.
PAGE_BYTES = 2_500_000


class Place(NamedTuple):
    """The place of a line among all, as a sort key without personal data; the lead's own is before every other."""

    part: int = 0
    at: str = ""
    name: str = ""
    of: str = ""

    def encode(self) -> str:
        """Return the place as an opaque text that a URL takes as it is."""
        return write_cursor(self)

    @classmethod
    def decode(cls, text: str) -> Place:
        """Return the place that `encode` made; raises InvalidQueryError for any other text."""
        match read_cursor(text):
            case [int(part), str(at), str(name), str(of)] if type(part) is int:
                return cls(part, at, name, of)
        raise InvalidQueryError("cursor: not one that a page ended with")


_LEAD, _EVENTS, _CHANGES, _RECORDS, _QUARANTINED = range(5)


class History(Protocol):
    """Where changes are on record."""

    def changes_of(self, pseudonym: str) -> list[ChangeRecord]:
        """Return what is on record of the changes of the lead of that pseudonym, in no particular order."""


def export_lead(
    reader: Reader, history: History, ruleset: Ruleset, text: str, at: datetime, cursor: str | None = None
) -> str | None:
    """Return a page of lines about the lead that `text` names, ASCII, each with its line end; None for no such lead.

    `cursor` is what the page before ended with. Raises InvalidQueryError for any other. Contains personal data: do not
    log.
    """
    after = Place(-1) if cursor is None else Place.decode(cursor)
    root = find_lead(reader, text, quarantined=True)
    if root is None or root.erased:
        return None
    tree = load_tree(reader, root)
    lines: list[str] = []
    room = PAGE_BYTES
    if after.part < _LEAD:
        lines.append(_lead_line(reader, ruleset, tree, at))
        room -= len(lines[0])
    reached = max(after, Place())
    for place, line in _lines_behind(reader, history, tree, after):
        if len(line) > room and lines:
            return "".join([*lines, _line("page", next_cursor=reached.encode())])
        lines.append(line)
        room -= len(line)
        reached = place
    return "".join([*lines, _line("page", next_cursor=None)])


def _lines_behind(
    reader: Reader, history: History, tree: list[StoredIdentity], after: Place
) -> Iterator[tuple[Place, str]]:
    """Yield the lines of events, changes, records and quarantined events behind a place, in their order."""
    placed = [
        (Place(_EVENTS, str(event["timestamp"]), str(event["messageId"]), pseudonym(one.identity)), one, event)
        for one in tree
        for event in reader.load_events(one.identity)
    ]
    for place, one, event in sorted(placed, key=lambda line: line[0]):
        if place > after:
            yield place, _line("event", identity=one.identity, event=event)
    changes = [(Place(_CHANGES, change.at, change.id), change) for one in tree for change in one.pending]
    for place, change in sorted(changes, key=lambda line: line[0]):
        if place > after:
            yield place, _line("change", change=change.to_dict())
    records = [record for one in tree for record in history.changes_of(pseudonym(one.identity))]
    for place, record in sorted(((_record_place(each), each) for each in records), key=lambda line: line[0]):
        if place > after:
            told = {"outcome": record.outcome, "reason": record.reason, "alert": record.alert}
            yield place, _line("record", change=record.change.to_dict(), **told)
    kept = [(_place_of(each), each) for each in load_kept(reader, tree)]
    for place, each in sorted(kept, key=lambda line: line[0]):
        if place > after:
            yield place, _line("quarantined", identity=each.identity, reason=each.reason, event=each.event)


def _record_place(record: ChangeRecord) -> Place:
    return Place(_RECORDS, record.change.at, record.change.id, record.key.lead)


def _place_of(kept: Quarantined) -> Place:
    event = kept.event
    return Place(_QUARANTINED, str(event["timestamp"]), str(event["messageId"]), pseudonym(kept.identity))


def _lead_line(reader: Reader, ruleset: Ruleset, tree: list[StoredIdentity], at: datetime) -> str:
    root = tree[0]
    state = load_state(reader, ruleset, root, from_datetime(at))
    account = load_account_states(reader, ruleset, [state.account]).get(state.account)
    score = score_now(state, account, at)
    return _line(
        "lead",
        id=display_id(root.identity),
        identities=[one.identity for one in tree],
        traits=state.traits,
        account=state.account,
        account_traits={} if account is None else account.traits,
        accounts=sorted({name for one in tree for name in one.memberships}),
        score=score.to_dict(),
        explanation=explain_score(score),
        alerts=None if root.body is None else _alerts(root.body),
        announced_score=None if root.body is None else root.body.announced,
    )


def _alerts(body: LeadBody) -> dict[str, object]:
    """Return what the alert policy remembers: the instants are those that alerts were planned for."""
    memory = body.memory
    times = {
        "last_alert": memory.last_alert,
        "earlier_alert": memory.earlier_alert,
        "last_raise": memory.last_raise,
        "heard_raise": memory.heard_raise,
    }
    told = {name: None if time is None else format_instant(time) for name, time in times.items()}
    return {"armed": memory.armed, **told}


def _line(kind: str, **content: object) -> str:
    return json.dumps({"kind": kind, **content}, separators=(",", ":")) + "\n"
