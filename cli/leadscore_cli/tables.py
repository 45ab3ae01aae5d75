"""How leads, scores and outputs look on a terminal. Text from events is shown literally, never as markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore.core.p_convert import (
    NO_CALIBRATION,
    CalibrationNote,
    PConvert,
    read_note,
    tell_calibration,
    tell_p_convert,
)
from leadscore_cli.api_client import (
    AccountDetail,
    AccountPage,
    AccountPerson,
    Json,
    LeadAsOf,
    LeadDetail,
    LeadPage,
    PConvertFields,
    Reason,
)
from leadscore_cli.outputs import LocalOutputs

_TIER_STYLES = {"hot": "bold red", "warm": "yellow", "disqualified": "dim"}


def leads_table(page: LeadPage) -> RenderableType:
    """Return a page of the ranked list with the top reasons, and the chances to convert where they are known."""
    note = read_note(page.get("calibration"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("#", "Lead", "Company"):
        table.add_column(heading, justify="right" if heading == "#" else "left")
    for heading in ("Score", "Fit", "Engagement"):
        table.add_column(heading, justify="right")
    table.add_column("Tier")
    if note.status == "current":
        table.add_column("p_convert")
    table.add_column("Top reasons", overflow="fold")
    for rank, lead in enumerate(page["leads"], start=1):
        table.add_row(
            str(rank),
            escape(lead["name"] or lead["email"] or lead["id"]),
            escape(lead["company"]),
            *(f"{points:.1f}" for points in (lead["score"], lead["fit"], lead["engagement"])),
            tier_text(lead["tier"]),
            *([_chance_text(lead.get("p_convert"))] if note.status == "current" else []),
            escape(reasons_line(lead["reasons"])),
        )
    return table if note == NO_CALIBRATION else Group(table, _note_text(note))


def accounts_table(page: AccountPage) -> Table:
    """Return a page of the ranked list of accounts with the people who add most."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("Account")
    table.add_column("Score", justify="right")
    table.add_column("Tier")
    table.add_column("People", justify="right")
    table.add_column("Who adds most", overflow="fold")
    for rank, account in enumerate(page["accounts"], start=1):
        adding = [person for person in account["people"] if person["contribution"]]
        table.add_row(
            str(rank),
            escape(account["name"] or account["id"]),
            f"{account['score']:.1f}",
            tier_text(account["tier"]),
            str(account["people_total"]),
            escape(", ".join(f"{person['contribution']:+.1f} {_person_name(person)}" for person in adding)),
        )
    return table


def account_view(account: AccountDetail) -> RenderableType:
    """Return one account: what is known of it, its score, and a line for each person who counts."""
    head = Table.grid(padding=(0, 2))
    head.add_row("account", escape(account["id"]))
    for name, value in account["traits"].items():
        head.add_row(escape(name), escape(_trait_text(value)))
    head.add_row("score", Text.assemble((f"{account['score']:.1f}", "bold"), "  ", tier_text(account["tier"])))
    shown = f", of whom {len(account['people'])} count" if account["truncated"] else ""
    head.add_row("people", f"{account['people_total']}{shown}, rolled up by {account['roll_up']}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Adds", "Score"):
        table.add_column(heading, justify="right")
    for heading in ("Tier", "Lead", "Title"):
        table.add_column(heading)
    for person in account["people"]:
        table.add_row(
            f"{person['contribution']:+.1f}",
            f"{person['score']:.1f}",
            tier_text(person["tier"]),
            escape(_person_name(person)),
            escape(person["title"]),
        )
    return Group(head, Text(), table) if account["people"] else head


def _person_name(person: AccountPerson) -> str:
    return person["name"] or person["email"] or person["id"]


def reasons_line(reasons: Sequence[Reason]) -> str:
    """Return reasons on one line, by the criteria's ids: `+15.0 pricing-page, +10.0 executive`."""
    return ", ".join(f"{reason['points']:+.1f} {reason['criterion']}" for reason in reasons)


def tier_text(tier: str) -> Text:
    """Return the tier in its colour."""
    return Text(tier, style=_TIER_STYLES.get(tier, ""))


def lead_view(lead: LeadDetail, max_events: int = 10) -> RenderableType:
    """Return one lead: who, the score with its parts, a line per factor, the newest events."""
    score = lead["score"]
    head = Table.grid(padding=(0, 2))
    head.add_row("lead", escape(lead["id"]))
    if "as_of" in lead:
        head.add_row("as of", _as_of_text(lead["as_of"]))
    if lead["account"]:
        head.add_row("account", escape(lead["account"]))
    for name, value in lead["traits"].items():
        head.add_row(escape(name), escape(_trait_text(value)))
    parts = "   ".join(f"{name} {points:.1f}" for name, points in score["groups"].items())
    head.add_row("score", Text.assemble((f"{score['total']:.1f}", "bold"), "  ", tier_text(score["tier"])))
    if "calibration" in lead:
        head.add_row("p_convert", _p_convert_text(lead.get("p_convert"), read_note(lead["calibration"])))
    head.add_row("groups", parts)
    head.add_row("coverage", f"{score['coverage']:.0%} of the fit model had data")
    if score["next_change_at"]:
        head.add_row("next change", f"{score['next_change_at']} by time alone")
    explanation = [Text(f"  {line}") for line in lead["explanation"]]
    return Group(head, Text("\nWhy", "bold"), *explanation, Text("\nEvents", "bold"), _events(lead, max_events))


def lead_card(lead: LeadDetail) -> RenderableType:
    """Return who a lead is in a few lines: its ids, its profile, and when it was last heard of."""
    card = Table.grid(padding=(0, 2))
    card.add_row("lead", escape(lead["id"]))
    for identity in lead.get("identities", []):
        card.add_row("known as", escape(identity))
    for name in ("name", "email", "company"):
        if name in lead["traits"]:
            card.add_row(name, escape(_trait_text(lead["traits"][name])))
    if lead["events"]:
        card.add_row("last event", str(lead["events"][0]["timestamp"]))
    return card


def _p_convert_text(chance: PConvertFields | None, note: CalibrationNote) -> str:
    if chance is not None:
        return f"{_chance_text(chance)} {tell_calibration(note)}"
    return "none of this lead" if note.status == "current" else f"none: {tell_calibration(note)}"


def _chance_text(chance: PConvertFields | None) -> str:
    return "" if chance is None else tell_p_convert(PConvert(**chance))


def _note_text(note: CalibrationNote) -> Text:
    return Text(f"p_convert: {'' if note.status == 'current' else 'none: '}{tell_calibration(note)}", style="dim")


def _as_of_text(as_of: LeadAsOf) -> str:
    notes = [as_of["at"]]
    if as_of["log_begins"]:
        notes.append(f"before the log, which begins {as_of['log_begins']}")
    if as_of["account_traits"] == "newest known":
        notes.append("without the account's traits that changed since")
    return "; ".join(notes)


def _trait_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _events(lead: LeadDetail, count: int) -> Table:
    table = Table.grid(padding=(0, 2))
    for event in lead["events"][:count]:
        table.add_row("", str(event["timestamp"]), str(event["type"]), Text(event_name(event)))
    return table


def event_name(event: Json) -> str:
    """Return what an event is called: a track's event, or a page's path or name."""
    properties = event.get("properties")
    path = properties.get("path") if isinstance(properties, dict) else None
    return str(event.get("event") or path or event.get("name") or event.get("groupId") or "")


def outputs_list(outputs: Mapping[str, object]) -> Text:
    """Return names and values, one a line, to be copied from; the entries of a mapping as `name.entry`."""
    flat: dict[str, object] = {}
    for name, value in outputs.items():
        entries = value.items() if isinstance(value, Mapping) else [("", value)]
        flat.update({f"{name}.{entry}".rstrip("."): inner for entry, inner in entries})
    width = max(map(len, flat))
    return Text("\n").join(Text.assemble((f"{name:{width}}", "bold"), f"  {value}") for name, value in flat.items())


def first_steps(outputs: LocalOutputs) -> str:
    """Return lines to paste: an event by curl, and the same by the Segment SDK for Python."""
    api, key = outputs.deployment.api, outputs.write_key
    event = '{"userId": "ada", "type": "page", "properties": {"path": "/pricing"}}'
    return f"""\
# an event, by curl
curl -u {key}: -H 'Content-Type: application/json' -d '{{"batch": [{event}]}}' {api}/batch

# the same by the SDK (pip install segment-analytics-python)
import segment.analytics as analytics
analytics.write_key = "{key}"
analytics.host = "{api.removesuffix("/v1")}"
analytics.page("ada", properties={{"path": "/pricing"}})
analytics.flush()

# the ranked list
leadscore leads"""
