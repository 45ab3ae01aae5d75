"""An alert as SNS carries it: a subject and a text for e-mail, JSON for queues and functions, attributes to filter by.

Invariant: a message that SNS takes whatever the traits say: its subject is short printable ASCII, and of an alert
about very many people the last ones are counted instead of listed. All of it may contain personal data.
"""

from __future__ import annotations

import json
from dataclasses import replace

from leadscore.core.alerts import Alert, AlertedLead, top_reasons
from leadscore.core.verdicts import VERDICTS
from leadscore.core.wording import (
    call_person,
    headline,
    name_person,
    one_line,
    tell_account,
    tell_chance,
    tell_contact,
    tell_groups,
    tell_instant,
    tell_move,
    tell_people,
    tell_points,
    tell_reason,
    tell_score,
    tell_tiers,
    usable_links,
)

# SNS takes fewer than 100 printable ASCII characters as an e-mail subject: docs.aws.amazon.com/sns, API Publish.
SUBJECT_CHARACTERS = 99
# Of the 256 KB that SNS takes in all, attributes included.
MESSAGE_BYTES = 200_000
_LISTED_IN_MAIL = 20
_REASONS = 10
# Every attribute that a message may have; with raw delivery SQS takes ten.
ATTRIBUTES = ("tier", "previous_tier", "score", "fit", "engagement", "owner", "account", "reason", "source")
NUMERIC_ATTRIBUTES = frozenset({"score", "fit", "engagement"})
_ATTRIBUTE_CHARACTERS = 256
# How the lines of an e-mail begin that ask what an alert was worth.
_VERDICTS = tuple(f"{kind.capitalize()}: " for kind in VERDICTS)


def subject_line(alert: Alert) -> str:
    """Return one line of at most 99 printable ASCII characters, as SNS demands of a subject."""
    move = alert.account_move
    about = f"{alert.leads[0].score:.1f}" if move is None else f"{move.score:.1f}, {tell_people(move)}"
    line = f"{headline(alert)}, score {about}"
    plain = "".join(character if " " <= character <= "~" else "?" for character in line)
    return plain if len(plain) <= SUBJECT_CHARACTERS else plain[: SUBJECT_CHARACTERS - 3] + "..."


def plain_text(alert: Alert) -> str:
    """Return the body of an e-mail: who, the score and what it was, why, whose, what to do next."""
    body = _about_many(alert) if alert.only is None else _about_one(alert, alert.only)
    return "\n".join([*body, "", f"Alert {alert.id}, {tell_instant(alert.at)}."])


def json_text(alert: Alert) -> str:
    """Return the alert as one JSON object of ASCII characters, for queues and functions."""
    return json.dumps(alert.to_dict(), separators=(",", ":"))


def fit_message(alert: Alert) -> Alert:
    """Return the alert with as many of its leads listed as one message takes, and the others counted.

    Reasons beyond the first ten are left out before anybody is.
    """
    if _size(alert) > MESSAGE_BYTES:
        alert = replace(alert, leads=tuple(replace(lead, reasons=lead.reasons[:_REASONS]) for lead in alert.leads))
    while len(alert.leads) > 1 and _size(alert) > MESSAGE_BYTES:
        listed = max(1, len(alert.leads) * 3 // 4)
        alert = replace(alert, leads=alert.leads[:listed], more_leads=alert.people - listed)
    return alert


def filter_attributes(alert: Alert) -> dict[str, str | float]:
    """Return what a subscription's filter policy can select by: the first lead's; unknown values are left out.

    Of an account's alert the tiers and the score are the account's.
    """
    lead = alert.leads[0]
    moved = alert.account_move or lead
    found: dict[str, str | float | None] = {
        "tier": moved.tier,
        "previous_tier": moved.previous_tier,
        "score": moved.score,
        "fit": lead.groups.get("fit", 0.0),
        "engagement": lead.groups.get("engagement", 0.0),
        "owner": lead.owner,
        "account": None if alert.account is None else alert.account.id,
        "reason": lead.cause if alert.account_move is None else "account",
        "source": lead.source,
    }
    values = {name: one_line(value, 10**6) if isinstance(value, str) else value for name, value in found.items()}
    return {
        name: value[:_ATTRIBUTE_CHARACTERS] if isinstance(value, str) else value
        for name, value in values.items()
        if value is not None and value != ""
    }


def _size(alert: Alert) -> int:
    """Return the bytes of both texts, each escaped once more as a part of SNS's own JSON."""
    return len(json.dumps(json_text(alert))) + len(json.dumps(plain_text(alert)))


def _about_one(alert: Alert, lead: AlertedLead) -> list[str]:
    asked = f" and asked for contact ({one_line(lead.event or 'a request')})" if lead.cause == "hand_raise" else ""
    return [
        f"{name_person(lead.person)} is {tell_tiers(lead)}{asked}.",
        f"Score {tell_score(lead)}.  {'  '.join(tell_groups(lead))}",
        "",
        "Why:",
        *_reasons(alert, lead),
        "",
        *_details(alert, lead),
    ]


def _details(alert: Alert, lead: AlertedLead) -> list[str]:
    named = {
        "Chance to convert": tell_chance(alert, lead),
        "Contact": tell_contact(lead.person),
        "Account": tell_account(alert),
        "Owner": one_line(lead.owner or "") or "nobody yet",
        "Next": one_line(lead.next_step, 400),
        **{name.capitalize(): url for name, url in usable_links(lead).items()},
    }
    return [f"{name}: {value}" for name, value in named.items() if value]


def _about_many(alert: Alert) -> list[str]:
    lines = [f"{headline(alert)}."]
    if tell_move(alert):
        lines.append(f"{tell_move(alert)}.")
    # A verdict on an account is asked for once, not with each of its people.
    said_elsewhere = ("Contact", "Account", *(_VERDICTS if alert.account_move is not None else ()))
    for lead in alert.leads[:_LISTED_IN_MAIL]:
        contact = tell_contact(lead.person)
        lines += [
            "",
            f"{call_person(lead.person)}{f', {contact}' if contact else ''}",
            f"Score {tell_score(lead)}, {tell_tiers(lead)}.  {'  '.join(tell_groups(lead))}",
            *_reasons(alert, lead),
            *(f"  {line}" for line in _details(alert, lead) if not line.startswith(said_elsewhere)),
        ]
    if alert.account_move is not None:
        lines += ["", *(line for line in _details(alert, alert.leads[0]) if line.startswith(_VERDICTS))]
    unlisted = alert.people - min(len(alert.leads), _LISTED_IN_MAIL)
    return [*lines, "", f"And {unlisted} more."] if unlisted else lines


def _reasons(alert: Alert, lead: AlertedLead) -> list[str]:
    lines = [f"  {tell_points(reason):>6}  {tell_reason(reason, alert.at)}" for reason in top_reasons(lead)]
    return lines or ["  no criterion counts now"]
