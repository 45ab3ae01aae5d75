"""A ruleset becomes the active one: in one step that everybody sees, once, and so that it can be taken back.

    settle what was left --> claim the next number --> write its parts, read them back --> sweep old parts
                                                                                                 |
             start the re-score <-- keep the document, note it as published <-- SWITCH <---------+

Invariant: before the switch the old ruleset is active and nothing of the new one is seen; from it on the new one is,
whole. A publication that died is completed by the same request sent again, or else given up by the next one: its claim
holds others off for no longer than a publisher lives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeGuard

from leadscore.core.instants import Millis, format_instant, from_datetime
from leadscore.core.parsing import InvalidRuleset, parse_ruleset
from leadscore.core.patterns import Problem
from leadscore.stored_ruleset import Parts, split_document, storable_text
from leadscore.usecases.lead_queries import UnknownRulesetError
from leadscore.usecases.queries import InvalidQueryError

# Longer than a publisher's function lives.
CLAIM_LASTS: Millis = 60_000
# Parts of so many publications stay, the newest ones: whoever read a switch reads its parts within moments.
_PARTS_KEPT_FOR = 10
_LOOKED_AT = 30
DEFAULT_PAGE, LARGEST_PAGE = 20, 100
_WHOLE = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_FOUND = "found: published by a deployment or by hand"
_UNDER_WAY = "somebody else is publishing at this moment"

Status = Literal["begun", "published", "given up"]
Kind = Literal["push", "rollback", "found"]


class AnotherPublishedError(RuntimeError):
    """The ruleset that is to be replaced is not the active one; `active` is its version."""

    def __init__(self, active: str) -> None:
        super().__init__("another ruleset was published meanwhile")
        self.active = active


class UnderWayError(RuntimeError):
    """Somebody else is publishing at this moment."""


@dataclass(frozen=True, slots=True)
class Active:
    """What is published: its document to the byte, how often the parameter was written, and since when it is this.

    The document is empty where its parts cannot be read. `parts` are how many it has in `folder`, 0 where it has none.
    """

    document: str
    revision: int
    since: Millis
    folder: str = ""
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """One entry of the history: who made which ruleset the active one, when, why and in place of which.

    `parts` are how many parts it has in `folder`, 0 where it has none or they were deleted.
    """

    number: int
    version: str
    replaces: str
    at: Millis
    by: str
    why: str
    kind: Kind
    status: Status
    folder: str = ""
    parts: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return what is told of it, as plain JSON types."""
        return {
            "number": self.number,
            "version": self.version,
            "replaces": self.replaces,
            "at": format_instant(self.at),
            "by": self.by,
            "why": self.why,
            "kind": self.kind,
            "status": self.status,
        }


class Shelf(Protocol):
    """Where the published ruleset is."""

    def read(self) -> Active:
        """Return what is published now."""

    def put_parts(self, parts: Parts) -> str:
        """Write the parts as far as they are not there, read all of them back, and return the switch to them."""

    def switch(self, value: str) -> None:
        """Make `value` the published one, a document or a switch."""

    def drop_parts(self, folder: str, count: int) -> None:
        """Delete parts; deleting them twice is harmless."""

    def former_documents(self) -> Sequence[str]:
        """Return documents that were published, by whomever, oldest first."""


class Ledger(Protocol):
    """The history of publications, by number, with every document that was published."""

    def newest(self, most: int, below: int | None = None) -> Sequence[Publication]:
        """Return the newest entries whose number is below that, the newest first."""

    def claim(self, entry: Publication) -> bool:
        """Write an entry, and say whether its number was free."""

    def note(self, entry: Publication) -> None:
        """Write an entry in place of the one of its number."""

    def keep_document(self, version: str, document: str) -> None:
        """Keep the document of a version."""

    def find_documents(self, version: str) -> Sequence[str]:
        """Return the documents that are kept of the versions that begin so, two at most."""


class Rescore(Protocol):
    """What brings all leads under the active ruleset."""

    def start(self, name: str, wait: timedelta) -> str:
        """Start it, to wait so long first, unless it was started under that name; return what it can be found by."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing works with; within `settling` every function has read what was published."""

    shelf: Shelf
    ledger: Ledger
    rescore: Rescore
    clock: Callable[[], datetime]
    settling: timedelta


@dataclass(frozen=True, slots=True)
class Intent:
    """Why, by whom, and in place of which version something is to be published, None for whichever is active."""

    by: str
    why: str
    replaces: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was published, and the re-score that follows it."""

    publication: Publication
    rescore: str

    def to_dict(self) -> dict[str, object]:
        """Return the receipt as plain JSON types."""
        return {"publication": self.publication.to_dict(), "rescore": self.rescore}


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A page of the history: at most `limit` entries, those below the number `below` where one is given."""

    limit: int = DEFAULT_PAGE
    below: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A page of the history, newest first, and what is active, which may be in no entry: deployments make none."""

    active: str
    since: Millis
    publications: Sequence[Publication]
    next_cursor: str | None

    def to_dict(self) -> dict[str, object]:
        """Return the page as plain JSON types."""
        return {
            "active": {"version": self.active, "since": format_instant(self.since)},
            "publications": [each.to_dict() for each in self.publications],
            "next_cursor": self.next_cursor,
        }


def publish(publisher: Publisher, document: str, intent: Intent, kind: Kind = "push") -> Receipt:
    """Make a document the active ruleset, and start the re-score; what is active already is not written again.

    Raises InvalidRuleset, AnotherPublishedError, UnderWayError and what the shelf and the ledger raise.
    """
    version = parse_ruleset(document).version
    parts = _split(document)
    active = publisher.shelf.read()
    now_active = _version_of(active.document)
    entries = _settle_left(publisher, version, active)
    entry = next((each for each in entries if each.status != "given up"), None)
    if version == now_active:
        entry = entry if _is_of(entry, version) else _enter_found(publisher, active, entries)
        return _conclude(publisher, entry, document)
    if intent.replaces not in (None, now_active):
        raise AnotherPublishedError(now_active)
    if entry is None or entry.status != "begun":
        # What this code takes for no ruleset is not gone back to.
        if now_active and not _is_of(entry, now_active):
            entries = [_enter_found(publisher, active, entries), *entries]
        entry = Publication(
            number=_next_number(entries),
            version=version,
            replaces=now_active,
            at=from_datetime(publisher.clock()),
            by=intent.by,
            why=intent.why,
            kind=kind,
            status="begun",
            folder="" if parts is None else parts.folder,
            parts=0 if parts is None else len(parts.values),
        )
        _claim(publisher, entry)
    value = storable_text(document) if parts is None else publisher.shelf.put_parts(parts)
    # While the claim holds others off: what is dropped must not be what somebody goes back to at this moment.
    _sweep(publisher, {active.folder, entry.folder})
    found = publisher.shelf.read()
    if found.revision != active.revision:
        if _version_of(found.document) == version:
            # The same request, sent twice at once: the other one has made the switch.
            return _conclude(publisher, entry, document)
        publisher.ledger.note(replace(entry, status="given up"))
        raise AnotherPublishedError(_version_of(found.document))
    publisher.shelf.switch(value)
    return _conclude(publisher, entry, document)


def roll_back(publisher: Publisher, version: str, intent: Intent) -> Receipt:
    """Make the ruleset whose version begins with `version` the active one again, to the byte.

    Raises UnknownRulesetError, InvalidQueryError where several begin so, and what `publish` raises.
    """
    documents = publisher.ledger.find_documents(version) or publisher.shelf.former_documents()
    found = {_version_of(each): each for each in documents}
    matching = [document for known, document in found.items() if known.startswith(version)]
    if len(matching) > 1:
        raise InvalidQueryError("version: several versions begin so; give more digits")
    if not matching:
        raise UnknownRulesetError("no published ruleset has that version")
    return publish(publisher, matching[0], intent, "rollback")


def read_history(publisher: Publisher, query: HistoryQuery) -> History:
    """Return a page of the history; a publication whose switch was made counts as published, noted so or not."""
    active = publisher.shelf.read()
    version = _version_of(active.document)
    found = publisher.ledger.newest(query.limit + 1, query.below)
    shown = [
        replace(each, status="published") if each.status == "begun" and each.version == version else each
        for each in found[: query.limit]
    ]
    return History(version, active.since, shown, str(shown[-1].number) if len(found) > query.limit else None)


def parse_history_query(parameters: Mapping[str, str]) -> HistoryQuery:
    """Return the query that URL parameters spell; raises InvalidQueryError, also for unknown parameters."""
    if set(parameters) - {"limit", "cursor"}:
        raise InvalidQueryError("unknown parameter; there are limit, cursor")
    limit, cursor = parameters.get("limit", str(DEFAULT_PAGE)), parameters.get("cursor")
    if not _WHOLE.fullmatch(limit) or int(limit) > LARGEST_PAGE:
        raise InvalidQueryError(f"limit: a whole number from 1 to {LARGEST_PAGE}")
    if cursor is not None and not _WHOLE.fullmatch(cursor):
        raise InvalidQueryError("cursor: not one that `next_cursor` handed out")
    return HistoryQuery(int(limit), None if cursor is None else int(cursor))


def _split(document: str) -> Parts | None:
    try:
        return split_document(document)
    except ValueError as error:
        raise InvalidRuleset([Problem("", str(error), None)]) from error


def _version_of(document: str) -> str:
    """Return the version of a document that was published; "" for one that this code takes for no ruleset."""
    try:
        return parse_ruleset(document).version
    except InvalidRuleset:
        return ""


def _settle_left(publisher: Publisher, version: str, active: Active) -> Sequence[Publication]:
    """Return the newest entries, after what died in the middle of being published was made good.

    The newest is still begun where it is to be gone on with: it is of the version that is to be published, and no older
    than the same request sent again would be.
    """
    entries = list(publisher.ledger.newest(_LOOKED_AT))
    if not entries or entries[0].status != "begun":
        return entries
    last, now_active = entries[0], _version_of(active.document)
    is_fresh = from_datetime(publisher.clock()) - last.at <= CLAIM_LASTS
    if last.version == now_active:
        return [_note_published(publisher, last, active.document), *entries[1:]]
    if is_fresh and last.version == version and last.replaces == now_active:
        return entries
    if is_fresh:
        raise UnderWayError(_UNDER_WAY)
    settled = replace(last, status="given up")
    publisher.ledger.note(settled)
    return [settled, *entries[1:]]


def _enter_found(publisher: Publisher, active: Active, entries: Sequence[Publication]) -> Publication:
    """Enter what is active without an entry of its own, so that it can be gone back to."""
    version = _version_of(active.document)
    publisher.ledger.keep_document(version, active.document)
    entry = Publication(
        number=_next_number(entries),
        version=version,
        replaces=entries[0].version if entries else "",
        at=active.since,
        by="",
        why=_FOUND,
        kind="found",
        status="published",
        folder=active.folder,
        parts=active.parts,
    )
    _claim(publisher, entry)
    return entry


def _claim(publisher: Publisher, entry: Publication) -> None:
    if not publisher.ledger.claim(entry):
        raise UnderWayError(_UNDER_WAY)


def _next_number(entries: Sequence[Publication]) -> int:
    return entries[0].number + 1 if entries else 1


def _is_of(entry: Publication | None, version: str) -> TypeGuard[Publication]:
    return entry is not None and entry.version == version


def _conclude(publisher: Publisher, entry: Publication, document: str) -> Receipt:
    """Note a publication whose switch was made, and start the re-score."""
    if entry.status != "published":
        entry = _note_published(publisher, entry, document)
    started = publisher.rescore.start(f"publication-{entry.number}-{entry.version}", publisher.settling)
    return Receipt(entry, started)


def _note_published(publisher: Publisher, entry: Publication, document: str) -> Publication:
    """Return an entry noted as published; only now can its document be gone back to: a draft never can."""
    publisher.ledger.keep_document(entry.version, document)
    published = replace(entry, status="published")
    publisher.ledger.note(published)
    return published


def _sweep(publisher: Publisher, named: Collection[str]) -> None:
    """Delete the parts of publications long ago, but for those in folders that are `named`."""
    entries = publisher.ledger.newest(_LOOKED_AT)
    kept = {*named, *(entry.folder for entry in entries[:_PARTS_KEPT_FOR])}
    for entry in entries[_PARTS_KEPT_FOR:]:
        if entry.parts and entry.folder not in kept:
            publisher.shelf.drop_parts(entry.folder, entry.parts)
            publisher.ledger.note(replace(entry, parts=0))
