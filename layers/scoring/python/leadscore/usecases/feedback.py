"""What people say of an alert, from the link or the call to the alert's record, and to the desk for a snooze.

    verdict on an alert --> a snooze goes to the desk of each lead --> the verdict goes to the alert's record

Invariants: a snooze that is on record holds at the desk; whatever is said twice is harmless, and of two verdicts on one
lead the later holds. Leads are named by pseudonym: nothing here tells who somebody is.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from leadscore.core.alert_desk import desk_name, snooze
from leadscore.core.identity import meanings, pseudonym
from leadscore.core.instants import Millis, format_instant
from leadscore.core.verdicts import VERDICTS, Verdict
from leadscore.usecases.alert_records import AlertRecord, Desks, People, StoredDesk
from leadscore.usecases.forest import walk_up
from leadscore.usecases.records import ConflictError, Grave, Reader, StoredIdentity
from leadscore.usecases.retrying import Pause, attempts

# More than an id has, and less than the table's key takes.
_ID_CHARACTERS = 64


class UnknownAlertError(LookupError):
    """There is no such alert, or it is not about such a lead, or the token is not its own."""


@dataclass(frozen=True, slots=True)
class FeedbackTools:
    """What feedback works with."""

    desks: Desks
    reader: Reader
    people: People
    pause: Pause


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and the leads of the alert that it is on."""

    alert: str
    leads: Sequence[str]
    verdict: Verdict

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON types."""
        verdict = self.verdict
        return {
            "alert": self.alert,
            "leads": list(self.leads),
            "verdict": verdict.kind,
            "reason": verdict.reason,
            "by": verdict.by,
            "at": format_instant(verdict.at),
            "until": None if verdict.until is None else format_instant(verdict.until),
        }


def verdict_links(base: str, alert: AlertRecord, lead: str) -> Mapping[str, str]:
    """Return by verdict the address at which it can be said of one lead of the alert; none without a token."""
    if not alert.token:
        return {}
    return {
        kind: f"{base}/alerts/{alert.id}/verdict?{urlencode({'v': kind, 'lead': lead, 't': alert.token})}"
        for kind in VERDICTS
    }


def open_by_token(desks: Desks, alert_id: str, lead: str | None, token: str) -> tuple[AlertRecord, Sequence[str]]:
    """Return the alert whose token that is, and which of its leads are meant; raises UnknownAlertError."""
    alert = _find(desks, alert_id)
    if not alert.token or not hmac.compare_digest(alert.token.encode(), token.encode("utf-8", "surrogatepass")):
        raise UnknownAlertError
    leads = [entry.lead for entry in alert.entries if lead in (None, entry.lead)]
    if not leads:
        raise UnknownAlertError
    return alert, leads


def open_by_name(tools: FeedbackTools, alert_id: str, lead: str | None) -> tuple[AlertRecord, Sequence[str]]:
    """Return an alert and which of its leads are meant: one by any of its ids, or all; raises UnknownAlertError."""
    alert = _find(tools.desks, alert_id)
    leads = [entry.lead for entry in alert.entries]
    if lead is not None:
        meant = _meant(tools, lead)
        leads = [name for name in leads if name in meant or _root_of(tools, name) in meant]
    if not leads:
        raise UnknownAlertError
    return alert, leads


def apply_verdict(tools: FeedbackTools, alert: AlertRecord, leads: Sequence[str], verdict: Verdict) -> Judged:
    """Write down a verdict on leads of an alert, and snooze them where it says so.

    Raises ContentionError when other writers won every attempt.
    """
    if verdict.until is not None:
        for desk, names in _desks_of(tools, alert, leads).items():
            _snooze(tools, desk, names, verdict.until)
    for lead in leads:
        tools.desks.put_verdict(alert.id, lead, verdict)
    return Judged(alert.id, leads, verdict)


def _find(desks: Desks, alert_id: str) -> AlertRecord:
    alert = desks.find_alert(alert_id) if len(alert_id) <= _ID_CHARACTERS else None
    if alert is None:
        raise UnknownAlertError
    return alert


def _meant(tools: FeedbackTools, text: str) -> set[str]:
    """Return the names that an alert may have for the lead that a person means by `text`."""
    ways = [walk_up(tools.reader, identity) for identity in meanings(text)]
    return {text} | {pseudonym(step.identity) for way in ways for step in way}


def _root_of(tools: FeedbackTools, name: str) -> str | None:
    root = _look_up(tools, name)
    return pseudonym(root.identity) if isinstance(root, StoredIdentity) else None


def _desks_of(tools: FeedbackTools, alert: AlertRecord, leads: Sequence[str]) -> dict[str, list[str]]:
    """Return by desk the names that are to be snoozed there: where each lead's next alert will be filed.

    Nobody will hear of who was erased, so that there is nothing to snooze.
    """
    found: dict[str, list[str]] = {}
    for lead in leads:
        root = _look_up(tools, lead)
        if root is None:
            found.setdefault(alert.desk, []).append(lead)
        elif isinstance(root, StoredIdentity) and root.body is not None:
            name = pseudonym(root.identity)
            found.setdefault(desk_name(name, root.body.account), []).append(name)
    return found


def _look_up(tools: FeedbackTools, name: str) -> StoredIdentity | Grave | None:
    """Return the lead that a pseudonym now belongs to, or what is left of it, or None for a name of something else."""
    stored = tools.people.look_up(name)
    if isinstance(stored, StoredIdentity) and stored.owner is not None:
        return walk_up(tools.reader, stored.owner.owner)[-1]
    return stored


def _snooze(tools: FeedbackTools, name: str, leads: Sequence[str], until: Millis) -> None:
    for _ in attempts(tools.pause, "a desk"):
        stored = tools.desks.load(name)
        desk = stored.desk
        for lead in leads:
            desk = snooze(desk, lead, until)
        # What waits there, and so when it is due, stays as it was; a desk where nothing waits outlives the snooze.
        kept_until = None if stored.due is not None else max(until, stored.kept_until or 0)
        try:
            tools.desks.save(StoredDesk(desk, stored.version + 1, stored.due, kept_until))
        except ConflictError:
            continue
        return
