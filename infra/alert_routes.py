"""The file of alert routes on its way into subscriptions: who hears of which leads, and by which way.

    routes:
      - {name: emea, email: emea@company.example, when: {owner: [Eve Hill, Bo Lind]}}
      - {name: enterprise, slack: true, when: {tier: [hot], fit: [{numeric: [">=", 20]}]}}

`when` is an SNS filter policy on an alert's attributes: an EventBridge pattern, as far as SNS knows it. Invariant: what
SNS would refuse, or would silently never match, does not leave the synth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from leadscore.core.alert_messages import ATTRIBUTES, NUMERIC_ATTRIBUTES
from leadscore.core.documents import read_document
from leadscore.core.patterns import Problem, parse_pattern

RouteKind = Literal["email", "sqs", "lambda", "slack"]
KINDS: tuple[RouteKind, ...] = ("email", "sqs", "lambda", "slack")
_FIELDS = {"name", "when", *KINDS}
# All of them are in one environment variable of the `slack` function.
MAX_SLACK_ROUTES = 10
# docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
_MAX_KEYS, _MAX_COMBINATIONS = 5, 150
_OPERATORS = frozenset({"prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists"})
_NUMBER_OPERATORS = frozenset({"numeric", "anything-but", "exists"})
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+")
_ARNS = {
    "sqs": re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(\.fifo)?"),
    "lambda": re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_$-]+)?"),
}


class AlertRoutesError(ValueError):
    """The file of alert routes cannot be read, or not every line of it makes sense."""


@dataclass(frozen=True, slots=True)
class AlertRoute:
    """One subscription: `endpoint` is an address or an ARN, empty for Slack; `when` None lets every alert through."""

    name: str
    kind: RouteKind
    endpoint: str
    when: Mapping[str, Any] | None

    @property
    def is_in_order(self) -> bool:
        """Whether alerts reach it one by one and in order, through a FIFO topic."""
        return self.kind == "slack" or (self.kind == "sqs" and self.endpoint.endswith(".fifo"))


def load_alert_routes(path: Path) -> tuple[AlertRoute, ...]:
    """The routes of a file in YAML or JSON.

    Raises `AlertRoutesError` whose text names the file and, one a line, the path, reason and value of every problem.
    """
    problems: list[Problem] = []
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise AlertRoutesError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AlertRoutesError(f"{path}: not UTF-8 text") from error
    routes = _parse_document(read_document(text, problems), problems)
    if problems:
        lines = (f"  {each.path or '(document)'}: {each.message} (found {each.value!r})" for each in problems)
        raise AlertRoutesError("\n".join([f"{path}: no list of alert routes", *lines]))
    return routes


def _parse_document(document: Mapping[str, object] | None, problems: list[Problem]) -> tuple[AlertRoute, ...]:
    if document is None:
        return ()
    listed = document.get("routes")
    problems += [
        Problem(name, "unknown field; there is `routes`", document[name]) for name in document.keys() - {"routes"}
    ]
    if not isinstance(listed, list):
        problems.append(Problem("routes", "must be a list of routes", listed))
        return ()
    routes: list[AlertRoute] = []
    for place, entry in enumerate(listed):
        route = _parse_route(entry, f"routes[{place}]", problems)
        if route is not None and any(route.name == other.name for other in routes):
            problems.append(Problem(f"routes[{place}].name", "is the name of an earlier route", route.name))
        routes += [] if route is None else [route]
    slack = sum(route.kind == "slack" for route in routes)
    if slack > MAX_SLACK_ROUTES:
        problems.append(Problem("routes", f"at most {MAX_SLACK_ROUTES} may be of Slack", slack))
    return tuple(routes)


def _parse_route(entry: object, path: str, problems: list[Problem]) -> AlertRoute | None:
    if not isinstance(entry, dict):
        problems.append(Problem(path, "must be an object with `name` and one of " + ", ".join(KINDS), entry))
        return None
    before = len(problems)
    problems += [Problem(f"{path}.{name}", "unknown field", entry[name]) for name in sorted(entry.keys() - _FIELDS)]
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        problems.append(Problem(f"{path}.name", "must be a word of a-z, 0-9 and -, at most 32 characters", name))
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        problems.append(Problem(path, f"must have exactly one of {', '.join(KINDS)}", kinds))
        return None
    endpoint = _parse_endpoint(kinds[0], entry[kinds[0]], f"{path}.{kinds[0]}", problems)
    when = _parse_filter(entry["when"], f"{path}.when", problems) if "when" in entry else None
    return AlertRoute(str(name), kinds[0], endpoint, when) if len(problems) == before else None


def _parse_endpoint(kind: RouteKind, value: object, path: str, problems: list[Problem]) -> str:
    if kind == "slack":
        if value is not True:
            # Whoever writes the webhook here would put a secret into the template.
            problems.append(Problem(path, "must be true; `leadscore slack set` stores the webhook", "..."))
        return ""
    form = _EMAIL if kind == "email" else _ARNS[kind]
    if not isinstance(value, str) or not form.fullmatch(value):
        wanted = (
            "an e-mail address" if kind == "email" else f"the ARN of {'a queue' if kind == 'sqs' else 'a function'}"
        )
        problems.append(Problem(path, f"must be {wanted}", value))
        return ""
    return value


def _parse_filter(document: object, path: str, problems: list[Problem]) -> Mapping[str, Any] | None:
    before = len(problems)
    pattern = parse_pattern(document, path, problems)
    if pattern is None or not isinstance(document, dict):
        return None
    for name, conditions in document.items():
        here = f"{path}.{name}"
        if name not in ATTRIBUTES:
            problems.append(Problem(here, f"no attribute of an alert; there are {', '.join(ATTRIBUTES)}", conditions))
        elif not isinstance(conditions, list):
            problems.append(Problem(here, "must be a list of conditions", conditions))
        else:
            for place, condition in enumerate(conditions):
                _check_condition(name, condition, f"{here}[{place}]", problems)
    if len(problems) > before:
        return None
    if len(document) > _MAX_KEYS:
        problems.append(Problem(path, f"SNS filters by at most {_MAX_KEYS} attributes", len(document)))
    combinations = math.prod(len(conditions) for conditions in document.values())
    if combinations > _MAX_COMBINATIONS:
        problems.append(Problem(path, f"SNS takes at most {_MAX_COMBINATIONS} combinations of values", combinations))
    return document


def _check_condition(attribute: str, condition: object, path: str, problems: list[Problem]) -> None:
    """Report a condition that SNS does not know, or that an attribute of this type never meets."""
    is_number = attribute in NUMERIC_ATTRIBUTES
    if isinstance(condition, dict):
        known = _NUMBER_OPERATORS if is_number else _OPERATORS - {"numeric"}
        wanted = f"is no operator for {attribute}: {', '.join(sorted(known))}"
        problems += [Problem(path, f"`{operator}` {wanted}", condition) for operator in condition.keys() - known]
        return
    wanted_types = int | float if is_number else str
    if not isinstance(condition, wanted_types) or isinstance(condition, bool):
        wanted = "a number" if is_number else "a text"
        problems.append(Problem(path, f"never matches: {attribute} is {wanted}", condition))
