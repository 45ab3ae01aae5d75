"""An alert as Slack shows it: Block Kit, within Slack's limits, whoever it is about.

    header   Hot lead: Grace Hopper (Acme)
    section  53.0 (was 33.0), hot, was warm, fit 18.0, engagement 35.0; contact
    section  the three reasons worth most, with points and how recent
    section  account, owner, source
    section  what to do next
    actions  the links, as buttons; of several people, each has its own under what is said of it
    context  the alert's id and instant

Invariant: nothing that comes from outside is markup: `&`, `<` and `>` are escaped everywhere, so that no name can
mention a channel, hide a link or end a block. Limits: docs.slack.dev/reference/block-kit/blocks.
"""

from __future__ import annotations

from typing import Any

from leadscore.core.alerts import Alert, AlertedLead, top_reasons
from leadscore.core.wording import (
    call_person,
    headline,
    one_line,
    shorten,
    tell_account,
    tell_chance,
    tell_contact,
    tell_groups,
    tell_instant,
    tell_move,
    tell_points,
    tell_reason,
    tell_score,
    tell_tiers,
    usable_links,
)

HEADER_CHARACTERS = 150
SECTION_CHARACTERS = 3000
FIELD_CHARACTERS = 2000
BUTTON_CHARACTERS = 75
BLOCKS = 50
_LISTED = 10
_BUTTONS = 5
# What a link is called on its button; others are called by their own name.
_BUTTON_NAMES = {"lead": "Open the lead", "good": "Good alert", "junk": "Junk", "snooze": "Snooze"}
type Block = dict[str, Any]


def slack_message(alert: Alert) -> dict[str, Any]:
    """Return the body of a post to a webhook: `text` for notifications and screen readers, and the `blocks`."""
    about = _many(alert) if alert.only is None else _one(alert, alert.only)
    blocks = [_header(headline(alert)), *about, _footer(alert)]
    fallback = f"{headline(alert)}, score {tell_score(alert.account_move or alert.leads[0])}"
    return {
        "text": escape(shorten(fallback, 500)),
        "blocks": blocks[:BLOCKS],
        # A company's address in a trait must not unfold its web page under the alert.
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escape(text: str) -> str:
    """Return a text that Slack shows as it is; a `<!channel>` in it mentions nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def width(text: str) -> int:
    """Return how long a text is for Slack, which counts a character beyond the basic plane as two."""
    return len(text) + sum(character > "\uffff" for character in text)


def _one(alert: Alert, lead: AlertedLead) -> list[Block]:
    contact = tell_contact(lead.person)
    fields = {
        "Account": tell_account(alert),
        "Owner": one_line(lead.owner or "") or "nobody yet",
        "Source": one_line(lead.source or ""),
        "Chance to convert": tell_chance(alert, lead),
    }
    blocks = [
        _section([_standing(lead), *([escape(contact)] if contact else [])]),
        _section(["*Why*", *_reasons(alert, lead)]),
        {"type": "section", "fields": [_field(name, value) for name, value in fields.items() if value]},
        _section([f"*Next:* {escape(one_line(lead.next_step, 400))}"]),
    ]
    return [*blocks, *_actions(lead)]


def _many(alert: Alert) -> list[Block]:
    summary = [_section([escape(tell_move(alert))])] if tell_move(alert) else []
    first, of_account = alert.leads[0], alert.kind == "account"
    blocks = summary + [
        block
        for number, lead in enumerate(alert.leads[:_LISTED])
        for block in (_section(_line_up(alert, lead)), *([] if of_account else _actions(lead, number)))
    ]
    unlisted = alert.people - min(len(alert.leads), _LISTED)
    if unlisted:
        blocks.append(_section([f"And {unlisted} more."]))
    blocks.append(_section([f"*Next:* {escape(one_line(first.next_step, 400))}"]))
    # What is said of an account is said of all of them at once.
    return [*blocks, *(_actions(first) if of_account else [])]


def _line_up(alert: Alert, lead: AlertedLead) -> list[str]:
    contact = tell_contact(lead.person)
    owner = one_line(lead.owner or "") or "nobody yet"
    chance = tell_chance(alert, lead)
    return [
        f"*{escape(call_person(lead.person))}*{f', {escape(contact)}' if contact else ''}",
        _standing(lead),
        *_reasons(alert, lead),
        *([f"Chance to convert: {escape(chance)}"] if chance else []),
        f"Owner: {escape(owner)}",
    ]


def _standing(lead: AlertedLead) -> str:
    asked = f"asked for contact ({one_line(lead.event or 'a request')})" if lead.cause == "hand_raise" else ""
    parts = [tell_tiers(lead), *tell_groups(lead), *([asked] if asked else [])]
    return f"*{tell_score(lead)}*  {escape(', '.join(parts))}"


def _reasons(alert: Alert, lead: AlertedLead) -> list[str]:
    lines = [f"\u2022 *{tell_points(one)}*  {escape(tell_reason(one, alert.at))}" for one in top_reasons(lead)]
    return lines or ["\u2022 no criterion counts now"]


def _header(text: str) -> Block:
    fitting = shorten(text, HEADER_CHARACTERS)
    while width(fitting) > HEADER_CHARACTERS:
        fitting = shorten(fitting, len(fitting) - 1)
    return {"type": "header", "text": {"type": "plain_text", "text": fitting, "emoji": False}}


def _section(lines: list[str]) -> Block:
    return {"type": "section", "text": _mrkdwn("\n".join(lines), SECTION_CHARACTERS)}


def _field(name: str, value: str) -> Block:
    return _mrkdwn(f"*{name}*\n{escape(value)}", FIELD_CHARACTERS)


def _footer(alert: Alert) -> Block:
    stage = "" if alert.stage is None else f", stage {one_line(alert.stage, 40)}"
    return {
        "type": "context",
        "elements": [_mrkdwn(escape(f"Alert {one_line(alert.id, 64)}, {tell_instant(alert.at)}{stage}"), 1000)],
    }


def _mrkdwn(text: str, most: int) -> Block:
    """Return a text object that holds escaped text; what is too long loses its end, and never half an escape."""
    while width(text) > most:
        cut = text[: most - 10 - (width(text) - len(text))]
        text = cut[: cut.rfind("&")] if "&" in cut[-5:] and ";" not in cut[cut.rfind("&") :] else cut
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _actions(lead: AlertedLead, number: int = 0) -> list[Block]:
    """Return the links of the lead of that number as a block of buttons, none where it has none."""
    buttons: list[Block] = [
        {
            "type": "button",
            "text": {
                "type": "plain_text",
                "text": shorten(_BUTTON_NAMES.get(name, name.capitalize()), BUTTON_CHARACTERS),
                "emoji": False,
            },
            "url": url,
            "action_id": f"open-{number}-{place}",
        }
        for place, (name, url) in enumerate(list(usable_links(lead).items())[:_BUTTONS])
    ]
    return [{"type": "actions", "elements": buttons}] if buttons else []
