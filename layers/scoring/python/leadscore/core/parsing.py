"""The one door through which a ruleset comes in: a document becomes a `Ruleset`, or the list of all its problems.

Protects everything that works from a ruleset: nothing of the document was ignored, repaired or guessed, and equal
documents have equal versions. The semantics of each field are in RULESET.md beside the layer.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from leadscore.core.account_policy import parse_accounts
from leadscore.core.alert_policy import parse_alerts
from leadscore.core.bounds import MAX_STATE_BYTES, state_problem, total_span
from leadscore.core.criteria import Draft, Span, parse_criterion
from leadscore.core.digest_policy import parse_digest
from leadscore.core.documents import canonical_text, read_document
from leadscore.core.event_fields import parse_event_pattern
from leadscore.core.nurture_policy import parse_nurture
from leadscore.core.patterns import Problem
from leadscore.core.ruleset import (
    DISQUALIFIED,
    Criterion,
    Group,
    IdentityPolicy,
    Ruleset,
    Tier,
)
from leadscore.core.sections import LARGEST_NUMBER, Section, open_section, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


# Groups that need no declaration; without one they have no bounds and nothing in them decays.
BUILT_IN_GROUPS = ("fit", "engagement", "product")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
NAME_DESCRIBED = "1 to 64 letters, digits, `-` and `_`, beginning with a letter or digit"
# A colon would make `external:TYPE:ID` the name of two ids.
EXTERNAL_TYPE = re.compile(
    r"[^:\x00-\x20\x7f\u2028\u2029]([^:\x00-\x1f\x7f\u2028\u2029]{0,62}[^:\x00-\x20\x7f\u2028\u2029])?"
)
MAX_EXTERNAL_TYPES = 20
DEFAULT_TOTAL = Span(0, 100)
_VERSION_DIGITS = 12
_DIGEST_DIGITS = 16


class InvalidRuleset(ValueError):
    """The document is no ruleset; `errors` has every problem with its path, message and value."""

    def __init__(self, errors: Sequence[Problem]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(describe_problem(error) for error in self.errors))


def describe_problem(problem: Problem) -> str:
    """Return a problem as one line: path, message, and the value shortened to what a person can read."""
    shown = "" if problem.value is None else f" (got {_shorten(json.dumps(problem.value, ensure_ascii=False))})"
    return f"{problem.path or 'ruleset'}: {problem.message}{shown}"


def parse_ruleset(document: str | Mapping[str, object], *, max_state_bytes: int | None = MAX_STATE_BYTES) -> Ruleset:
    """Return the ruleset that a YAML or JSON text, or a mapping of JSON values, describes.

    `max_state_bytes` bounds what the state of one lead or account can ever need; None lifts that bound.
    Raises InvalidRuleset with every problem found.
    """
    problems: list[Problem] = []
    clean = read_document(document, problems, braces=True)
    if clean is None:
        raise InvalidRuleset(problems)
    unreadable = {problem.path for problem in problems}
    found: list[Problem] = []
    ruleset = _parse(clean, max_state_bytes, found)
    # A value that cannot be in any document was reported once; what a field says about it would only repeat that.
    problems.extend(problem for problem in found if problem.path not in unreadable)
    if problems:
        raise InvalidRuleset(problems)
    return ruleset


def _parse(document: dict[str, object], max_state_bytes: int | None, problems: list[Problem]) -> Ruleset:
    """Return the ruleset; it is whole only when no problem was added."""
    section = Section("ruleset", document, "", problems)
    section.require("tiers", "criteria")
    goal = parse_event_pattern(section.get("goal"), "goal", problems) if section.has("goal") else None
    groups = _parse_groups(section, problems)
    drafts = _parse_criteria(section, groups, problems)
    total = _parse_total(section, problems)
    tiers = _parse_tiers(section, problems)
    _check_reach(tiers, _reach(section, drafts, groups, total), problems)
    alerts = parse_alerts(section, tiers, _most_fit(section, drafts, groups), problems)
    identity = _parse_identity(section, problems)
    accounts = parse_accounts(section, tiers, problems)
    score_change = _parse_announce(section, problems)
    digest = parse_digest(section, problems)
    nurture = parse_nurture(section, tiers, _most_fit(section, drafts, groups), problems)
    criteria = tuple(draft.criterion for draft in drafts)
    _check_groups_used(section, criteria, problems)
    text = canonical_text(document)
    ruleset = Ruleset(
        version=_digest(text, _VERSION_DIGITS),
        state_digest="",
        document=text,
        tiers=tiers,
        groups=groups,
        criteria=criteria,
        goal=goal,
        alerts=alerts,
        total_min=total.low,
        total_max=None if total.high == inf else total.high,
        identity=identity,
        accounts=accounts,
        score_change=score_change,
        digest=digest,
        nurture=nurture,
    )
    too_large = None if max_state_bytes is None else state_problem(ruleset, max_state_bytes)
    if too_large is not None:
        problems.append(too_large)
    return replace(ruleset, state_digest=_digest(canonical_text(_kept_by_states(ruleset)), _DIGEST_DIGITS))


def _parse_groups(section: Section, problems: list[Problem]) -> dict[str, Group]:
    """Return all groups: the built-in ones first, then the others by name, whatever order the document has."""
    groups = {name: Group(name) for name in BUILT_IN_GROUPS}
    if not section.has("groups"):
        return groups
    declared = section.get("groups")
    if not isinstance(declared, dict):
        section.reject("groups", "must be an object of groups by name")
        return groups
    for name in sorted(declared):
        path = f"groups.{name}"
        if not NAME.fullmatch(name):
            problems.append(Problem(path, f"the name of a group must be {NAME_DESCRIBED}", name))
        inner = open_section("group", declared[name], path, problems)
        groups[name] = Group(name) if inner is None else _parse_group(name, inner)
    return groups


def _parse_group(name: str, section: Section) -> Group:
    return Group(
        name,
        max=section.number("max", 0, LARGEST_NUMBER),
        min=section.number("min", -LARGEST_NUMBER, 0),
        half_life=None if section.is_none("half_life") else section.duration("half_life"),
    )


def _parse_criteria(section: Section, groups: Mapping[str, Group], problems: list[Problem]) -> list[Draft]:
    values = section.items("criteria", 1, "a list of at least one criterion")
    drafts: list[Draft] = []
    first_place: dict[str, str] = {}
    for i, value in enumerate(values):
        path = f"criteria[{i}]"
        draft = parse_criterion(value, path, groups, problems)
        if draft is None:
            continue
        drafts.append(draft)
        id_ = draft.criterion.id
        if id_ in first_place:
            problems.append(Problem(f"{path}.id", f"is already the id of {first_place[id_]}", id_))
        elif id_:
            first_place[id_] = path
    return drafts


def _check_groups_used(section: Section, criteria: Sequence[Criterion], problems: list[Problem]) -> None:
    """Report a declared group without criteria: its bounds would be ignored."""
    declared = section.get("groups") if section.has("groups") else None
    used = {criterion.group for criterion in criteria}
    if isinstance(declared, dict) and "" not in used:
        problems.extend(
            Problem(f"groups.{name}", f"no criterion is in this group{suggest(name, used)}", bounds)
            for name, bounds in declared.items()
            if name not in used and name not in BUILT_IN_GROUPS
        )


def _parse_total(section: Section, problems: list[Problem]) -> Span:
    """Return the bounds of the total, infinite above where `max` is `none` or could not be read."""
    if not section.has("total"):
        return DEFAULT_TOTAL
    inner = open_section("total", section.get("total"), "total", problems)
    if inner is None:
        return Span(-inf, inf)
    low: float | None = DEFAULT_TOTAL.low
    high: float | None = DEFAULT_TOTAL.high
    if inner.has("min"):
        low = inner.number("min", -LARGEST_NUMBER, 0)
    if inner.has("max"):
        high = inf if inner.is_none("max") else inner.number("max", 0, LARGEST_NUMBER, open_low=True)
    return Span(-inf if low is None else low, inf if high is None else high)


def _parse_tiers(section: Section, problems: list[Problem]) -> tuple[Tier, ...]:
    values = section.items("tiers", 2, "a list of at least two tiers, the highest first")
    tiers: list[Tier] = []
    names: set[str] = set()
    lowest_so_far = inf
    for i, value in enumerate(values):
        inner = open_section("tier", value, f"tiers[{i}]", problems)
        if inner is None:
            continue
        name = _parse_tier_name(inner, names)
        from_ = _parse_from(inner, lowest_so_far, last=i == len(values) - 1)
        lowest_so_far = lowest_so_far if from_ is None else min(from_, lowest_so_far)
        tiers.append(Tier(name, from_))
    return tuple(tiers)


def _parse_tier_name(section: Section, names: set[str]) -> str:
    section.require("name")
    name = section.text("name", NAME, NAME_DESCRIBED) or ""
    if name == DISQUALIFIED:
        section.reject("name", "is the tier of disqualified leads and cannot be declared")
    elif name in names:
        section.reject("name", "is already the name of a higher tier")
    elif name:
        names.add(name)
    return name


def _parse_from(section: Section, above: float, *, last: bool) -> float | None:
    if last:
        if section.has("from"):
            section.refuse("from", "the lowest tier takes every score below the others and has no `from`")
        return None
    section.require("from")
    from_ = section.number("from", -LARGEST_NUMBER, LARGEST_NUMBER)
    if from_ is not None and from_ >= above:
        section.reject("from", f"must be below the {above:g} of the tier above: tiers go from high to low")
    return from_


def _reach(section: Section, drafts: Sequence[Draft], groups: Mapping[str, Group], total: Span) -> Span:
    """Return what scores there can be: all of the total where a criterion could not be read at all."""
    return total_span(drafts, groups, total) if _are_readable(section, drafts) else total


def _are_readable(section: Section, drafts: Sequence[Draft]) -> bool:
    """Say whether every criterion could be read, or at least told apart from the others."""
    values = section.get("criteria") if section.has("criteria") else None
    return isinstance(values, list) and 0 < len(values) == len(drafts)


def _most_fit(section: Section, drafts: Sequence[Draft], groups: Mapping[str, Group]) -> float:
    """Return the most points that the group `fit` can give: any number where a criterion could not be read at all."""
    fit = [draft for draft in drafts if draft.criterion.group == "fit"]
    return total_span(fit, groups, Span(-inf, inf)).high if _are_readable(section, drafts) else inf


def _check_reach(tiers: Sequence[Tier], reach: Span, problems: list[Problem]) -> None:
    """Report the tiers that no score is in, and those that leave nothing for the tiers below them."""
    for i, tier in enumerate(tiers):
        path = f"tiers[{i}].from"
        if tier.from_ is None:
            continue
        if tier.from_ > reach.high:
            message = f"can never be reached: the criteria and caps allow {reach.high:g} points at most"
            problems.append(Problem(path, message, tier.from_))
        elif tier.from_ <= reach.low:
            message = f"leaves nothing for the tiers below: no score is under {reach.low:g} points"
            problems.append(Problem(path, message, tier.from_))


def _parse_identity(section: Section, problems: list[Problem]) -> IdentityPolicy:
    if not section.has("identity"):
        return IdentityPolicy()
    inner = open_section("identity", section.get("identity"), "identity", problems)
    if inner is None:
        return IdentityPolicy()
    return IdentityPolicy(email=bool(inner.flag("email")), external=_parse_external(inner, problems))


def _parse_external(section: Section, problems: list[Problem]) -> frozenset[str]:
    """Return the types of external ids that are accepted; each may be listed once."""
    values = section.items("external", 0, "a list of types of external ids")
    if len(values) > MAX_EXTERNAL_TYPES:
        section.reject("external", f"must be a list of at most {MAX_EXTERNAL_TYPES} types")
    types: set[str] = set()
    for i, value in enumerate(values):
        path = f"{section.place('external')}[{i}]"
        if not isinstance(value, str) or not EXTERNAL_TYPE.fullmatch(value):
            message = "must be 1 to 64 characters, none of them `:` or a control character, with no blank at either end"
            problems.append(Problem(path, message, value))
        elif value in types:
            problems.append(Problem(path, "is already in the list", value))
        else:
            types.add(value)
    return frozenset(types)


def _parse_announce(section: Section, problems: list[Problem]) -> float | None:
    if not section.has("announce"):
        return None
    inner = open_section("announce", section.get("announce"), "announce", problems)
    return None if inner is None else inner.number("score_change", 0, LARGEST_NUMBER, open_low=True)


def _kept_by_states(ruleset: Ruleset) -> object:
    """Return the part of a ruleset that decides what a state keeps of its events."""
    always = () if ruleset.alerts is None else ruleset.alerts.always
    return {
        # States of before there were hand-raises stay readable as long as none are asked for.
        **({"always": sorted(always)} if always else {}),
        "criteria": {
            c.id: {
                "event": c.event.document,
                "limit": c.limit,
                "at_least": c.at_least,
                "measure": None if c.measure is None else [c.measure.kind, *c.measure.path],
            }
            for c in ruleset.behaviour
            if c.event is not None
        },
        "goal": None if ruleset.goal is None else ruleset.goal.document,
        "traits": sorted(ruleset.lead_traits),
        "account_traits": sorted(ruleset.account_traits),
    }


def _digest(text: str, digits: int) -> str:
    # OpenSSL is slow to load, and not every importer parses.
    from hashlib import sha256

    return sha256(text.encode(errors="replace")).hexdigest()[:digits]


def _shorten(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
