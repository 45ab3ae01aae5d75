"""All that is held about one person, as lines of JSON: what the person may ask for, and what to keep before erasing.

    lead    identities, traits, accounts, score with its factors and reasons, what the alert policy remembers
    event   each event of each identity as the log has it, oldest first
    change  what is pending to be announced, oldest first
    page    the last line of each page: where the next one begins, null when this was all

Invariant: pages put together hold every event that was in the log when the first one was asked for, each once.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from leadscore.core.explaining import explain_score
from leadscore.core.identity import display_id, pseudonym
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.forest import find_lead, load_state, load_tree
from leadscore.usecases.queries import InvalidQueryError
from leadscore.usecases.records import LeadBody, Reader, StoredIdentity
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
        return base64.urlsafe_b64encode(json.dumps(self).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Place:
        """Return the place that `encode` made; raises InvalidQueryError for any other text."""
        try:
            part, *texts = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
            place = cls(part, *texts)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidQueryError("cursor: not one that a page ended with") from error
        if type(part) is not int or not all(type(each) is str for each in texts):
            raise InvalidQueryError("cursor: not one that a page ended with")
        return place


_LEAD, _EVENTS, _CHANGES = range(3)


def export_lead(reader: Reader, ruleset: Ruleset, text: str, at: datetime, cursor: str | None = None) -> str | None:
    """Return a page of lines about the lead that `text` names, ASCII, each with its line end; None for no such lead.

    `cursor` is what the page before ended with. Raises InvalidQueryError for any other. Contains personal data: do not
    log.
    """
    after = Place(-1) if cursor is None else Place.decode(cursor)
    root = find_lead(reader, text)
    if root is None or root.erased:
        return None
    tree = load_tree(reader, root)
    lines: list[str] = []
    room = PAGE_BYTES
    if after.part < _LEAD:
        lines.append(_lead_line(reader, ruleset, tree, at))
        room -= len(lines[0])
    reached = max(after, Place())
    for place, line in _lines_behind(reader, tree, after):
        if len(line) > room and lines:
            return "".join([*lines, _line("page", next_cursor=reached.encode())])
        lines.append(line)
        room -= len(line)
        reached = place
    return "".join([*lines, _line("page", next_cursor=None)])


def _lines_behind(reader: Reader, tree: list[StoredIdentity], after: Place) -> Iterator[tuple[Place, str]]:
    """Yield the lines of events and changes behind a place, in their order."""
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
    )


def _alerts(body: LeadBody) -> dict[str, object]:
    last = body.memory.last_alert
    return {"armed": body.memory.armed, "last_alert": None if last is None else format_instant(last)}


def _line(kind: str, **content: object) -> str:
    return json.dumps({"kind": kind, **content}, separators=(",", ":")) + "\n"
