"""An alert in the one shape that Amazon Q Developer in chat applications shows; anything else on its topic is dropped.

The shape: docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html. Alerts of one account are one thread.
"""

from __future__ import annotations

import json

from leadscore.core.alerts import Alert, AlertedLead, top_reasons
from leadscore.core.verdicts import VERDICTS
from leadscore.core.wording import (
    call_person,
    headline,
    name_account,
    one_line,
    shorten,
    tell_chance,
    tell_contact,
    tell_groups,
    tell_move,
    tell_points,
    tell_reason,
    tell_score,
    tell_tiers,
    usable_links,
)

_TITLE_CHARACTERS = 250
_DESCRIPTION_CHARACTERS = 8000
_LISTED = 10
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>~"})
# Only the description is Markdown; elsewhere what could be a mention loses its brackets.
_UNBRACKETED = str.maketrans("<>", "  ")


def chat_notice(alert: Alert) -> str:
    """Return the JSON text to publish."""
    first = alert.leads[0]
    moved = alert.account_move or first
    account = name_account(alert)
    words = {"tier": moved.tier, "owner": first.owner, "account": account, "source": first.source}
    keywords = [f"{name}: {_unbracket(one_line(value, 100))}" for name, value in words.items() if value]
    document = {
        "version": "1.0",
        "source": "custom",
        "id": alert.id,
        "content": {
            "textType": "client-markdown",
            "title": shorten(_unbracket(headline(alert)), _TITLE_CHARACTERS),
            "description": shorten("\n\n".join(_description(alert)), _DESCRIPTION_CHARACTERS),
            "nextSteps": [_unbracket(one_line(first.next_step, 350)) or "Look at the lead."],
            "keywords": keywords,
        },
        "metadata": {
            "threadId": alert.id if alert.account is None else f"leadscore-{one_line(alert.account.id, 128)}",
            "summary": shorten(f"{_unbracket(headline(alert))}, score {tell_score(moved)}", _TITLE_CHARACTERS),
            "eventType": alert.kind,
        },
    }
    return json.dumps(document, separators=(",", ":"))


def _description(alert: Alert) -> list[str]:
    summary = [_plain(tell_move(alert))] if tell_move(alert) else []
    parts = summary + [_lead(alert, lead) for lead in alert.leads[:_LISTED]]
    unlisted = alert.people - min(len(alert.leads), _LISTED)
    return [*parts, f"And {unlisted} more."] if unlisted else parts


def _lead(alert: Alert, lead: AlertedLead) -> str:
    contact = tell_contact(lead.person)
    who = [f"**{_plain(call_person(lead.person))}**"] if alert.only is None else []
    standing = f"**{tell_score(lead)}** {_plain(', '.join([tell_tiers(lead), *tell_groups(lead)]))}"
    reasons = [f"- **{tell_points(one)}** {_plain(tell_reason(one, alert.at))}" for one in top_reasons(lead)]
    owner = f"Owner: {_plain(one_line(lead.owner or '') or 'nobody yet')}"
    # Of several people the links for verdicts would take the room of people.
    shown = {name: url for name, url in usable_links(lead).items() if alert.only is not None or name not in VERDICTS}
    links = [f"[{_plain(name)}]({url})" for name, url in shown.items()]
    told = tell_chance(alert, lead)
    chance = [f"Chance to convert: {_plain(told)}"] if told else []
    lines = [*who, standing, *([_plain(contact)] if contact else []), *reasons, *chance, owner, *links]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return Markdown that shows the text as it is and mentions nobody."""
    return text.translate(_MARKDOWN)


def _unbracket(text: str) -> str:
    return text.translate(_UNBRACKETED)
