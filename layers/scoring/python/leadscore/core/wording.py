"""Words that every way out shares: who a lead is, how a score moved, why, and how recent that is, each on one line.

Invariant: what a person typed into a product cannot become a second line, a control character or a text without end.
"""

from __future__ import annotations

from leadscore.core.alerts import AccountMove, Alert, AlertedLead, AlertReason
from leadscore.core.changes import Person
from leadscore.core.explaining import tell_age
from leadscore.core.instants import parse_instant
from leadscore.core.p_convert import tell_calibration, tell_p_convert

_LONGEST = 200
# They join letters in several scripts, and Python counts them among the characters that do not print.
_JOINERS = "\u200c\u200d"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def one_line(text: str, most: int = _LONGEST) -> str:
    """Return a text without line breaks and control characters, at most `most` characters of it."""
    plain = "".join(one if one.isprintable() or one in _JOINERS else " " for one in text[: 4 * most])
    return shorten(" ".join(plain.split()), most)


def shorten(text: str, most: int) -> str:
    """Return a text of at most `most` characters; one that was cut ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + _ELLIPSIS


def name_person(person: Person) -> str:
    """Return the best name there is for a lead, with its company."""
    name, company = call_person(person), one_line(person["company"])
    return f"{name} ({company})" if company else name


def call_person(person: Person) -> str:
    """Return the best name there is for a lead: its name, else its e-mail address, else its id."""
    return one_line(person["name"]) or one_line(person["email"]) or one_line(person["id"]) or "somebody"


def name_account(alert: Alert) -> str:
    """Return what the account is called, empty where the alert has none."""
    return "" if alert.account is None else one_line(alert.account.name) or one_line(alert.account.id)


def headline(alert: Alert) -> str:
    """Return what the alert is about: the person, or how many at which company."""
    first = alert.leads[0]
    move = alert.account_move
    if move is not None:
        return f"{one_line(move.tier, 40).capitalize()} account: {name_account(alert)}"
    tier = one_line(first.tier, 40)
    if alert.people == 1:
        said = name_person(first.person)
        if alert.kind == "follow_up":
            return f"One more {tier} lead: {said}"
        return f"Asked for contact: {said}" if first.cause == "hand_raise" else f"{tier.capitalize()} lead: {said}"
    where = name_account(alert) or one_line(first.person["company"]) or "one account"
    more = "more " if alert.kind == "follow_up" else ""
    return f"{alert.people} {more}{tier} leads at {where}"


def tell_account(alert: Alert) -> str:
    """Return what the account is called, and how it stands where people are told of that: `Acme (hot, score 71.0)`."""
    name, move = name_account(alert), None if alert.account is None else alert.account.move
    return name if move is None else f"{name} ({one_line(move.tier, 40)}, score {move.score:.1f})"


def tell_move(alert: Alert) -> str:
    """Return how the account stands that people are told of, with its people or alone; empty where they are not."""
    move = None if alert.account is None else alert.account.move
    return "" if move is None else f"Account: score {tell_score(move)}, {tell_tiers(move)}, {tell_people(move)}"


def tell_people(move: AccountMove) -> str:
    """Return how many people an account has: `4 people`."""
    return f"{move.people} {'person' if move.people == 1 else 'people'}"


def tell_score(moved: AlertedLead | AccountMove) -> str:
    """Return the score and what it was: `53.0 (was 33.0)`; the score alone where it was not another."""
    same = moved.score == moved.previous_score
    return f"{moved.score:.1f}" if same else f"{moved.score:.1f} (was {moved.previous_score:.1f})"


def tell_tiers(moved: AlertedLead | AccountMove) -> str:
    """Return the tier and what it was: `hot, was warm`; the tier alone where it was not another."""
    if moved.tier == moved.previous_tier:
        return one_line(moved.tier, 40)
    before = "new" if moved.previous_tier is None else f"was {one_line(moved.previous_tier, 40)}"
    return f"{one_line(moved.tier, 40)}, {before}"


def tell_groups(lead: AlertedLead) -> list[str]:
    """Return the points of each group, fit and engagement first: `fit 18.0`; other groups only where they count."""
    names = [name for name in ("fit", "engagement") if name in lead.groups]
    names += [name for name in lead.groups if name not in names and lead.groups[name]]
    return [f"{one_line(name, 40)} {lead.groups[name]:.1f}" for name in names[:6]]


def tell_chance(alert: Alert, lead: AlertedLead) -> str:
    """Return the chance to convert and what that is from: `12% (9.1 to 16%) within 30 days; calibrated ...`.

    Where there was a calibration and there is none to go by any more, it says why; otherwise it is empty.
    """
    note = alert.calibration
    if lead.p_convert is not None:
        return f"{tell_p_convert(lead.p_convert)} {tell_calibration(note)}"
    return "" if note.status in {"none", "current"} else f"not known, as {tell_calibration(note)}"


def tell_points(reason: AlertReason) -> str:
    """Return the points of a reason: `+20.0`."""
    return f"{reason.points:+.1f}"


def tell_reason(reason: AlertReason, at: str) -> str:
    """Return what counted and how recent it is as of the instant `at`: `Started a free trial, 2 hours ago`."""
    label = one_line(reason.label) or one_line(reason.criterion)
    if reason.last_at is None:
        return label
    return f"{label}, {tell_age(max(0, parse_instant(at) - parse_instant(reason.last_at)))}"


def tell_contact(person: Person) -> str:
    """Return the title and the e-mail address, as far as they are known."""
    return ", ".join(part for part in (one_line(person["title"]), one_line(person["email"])) if part)


def tell_instant(instant: str) -> str:
    """Return an instant as people read it, to the minute: `2026-01-31 12:00 UTC`."""
    return f"{instant[:10]} {instant[11:16]} UTC"


def usable_links(lead: AlertedLead) -> dict[str, str]:
    """Return the links of a lead that can be followed, by name."""
    return {
        one_line(name, 40): url
        for name, url in lead.links.items()
        if one_line(name)
        and url.startswith(("https://", "http://"))
        and len(url) <= 2048
        and url.isprintable()
        and " " not in url
    }
