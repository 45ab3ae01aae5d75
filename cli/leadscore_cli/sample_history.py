"""The past of the demo: a year of the sample company as an archive to import, and what there is to be learned from it.

The criteria of `infra/ruleset.yaml` fit this company but for one: everybody looks at its prices, those who will buy and
those who will not. That is its truth, so that what the demo says of it at the end can be right or wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from leadscore_cli.sample_company import TRUTH, SampleCompany

# A small company imports in a minute; its high rate of conversion makes up for the few leads.
LEADS = 800
BASE_RATE = 0.3
# The prices tell nothing of who looks at them; what does tell is worth more than in the table, for the same reason.
OVER_POINTED = "pricing-page"
_TRUTH = {
    **TRUTH,
    OVER_POINTED: 0.0,
    "executive": 1.0,
    "company-size": 0.9,
    "free-trial": 2.5,
    "teammate": 1.6,
}
# Findings that say that a criterion's figures are not to be relied on.
_UNRELIABLE = {"dead", "thin", "leak"}
_SURE = 0.05


def demo_company(now: datetime) -> SampleCompany:
    """Return the company, whose year ends with yesterday; on one day it is always the same."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return SampleCompany(LEADS, midnight, base_rate=BASE_RATE, truth=_TRUTH)


def write_history(company: SampleCompany, path: Path) -> None:
    """Write all events of the company as lines of JSON, lead by lead.

    An import takes them in any order; those of one lead side by side are scored at once.
    """
    events = sorted(company.events(), key=itemgetter("userId"))
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(f"{json.dumps(event)}\n" for event in events)


def insight_lines(found: Mapping[str, Any]) -> tuple[str, str]:
    """Return two lines on `GET /insights`: what goes with conversion most, and what has far too many points."""
    criteria: Sequence[Mapping[str, Any]] = found["criteria"]
    sure = [one for one in criteria if one["q"] <= _SURE and not _UNRELIABLE & _kinds(one)]
    best = max(sure, key=lambda one: one["lift"]["value"], default=None)
    first = "Nothing surely goes with conversion yet."
    if best is not None:
        low, high = best["lift"]["low"], best["lift"]["high"]
        first = (
            f"{best['criterion']} goes with conversion most: {best['rate']['value']:.0%} of its leads converted, "
            f"{best['lift']['value']:.1f} times ({low:.1f} to {high:.1f}) the share of all."
        )
    worst = find_over_pointed(found)
    second = "No criterion surely has too many points."
    if worst is not None:
        [reason] = [one["reason"] for one in worst["findings"] if one["kind"] == "over-pointed"]
        second = f"{worst['criterion']} is over-pointed: {reason}."
    return first, second


def find_over_pointed(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the criterion with most points too many, None where none surely has any."""
    over = [one for one in found["criteria"] if "over-pointed" in _kinds(one)]
    return max(over, key=lambda one: abs(one["points"] - one["fair_points"]["value"]), default=None)


def _kinds(criterion: Mapping[str, Any]) -> set[str]:
    return {finding["kind"] for finding in criterion["findings"]}
