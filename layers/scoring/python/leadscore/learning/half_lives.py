"""Whether all half-lives should be longer or shorter by one common factor: judged on later leads, fitted on none.

    the same leads, scored with each factor --gate slice--> the best one, if surely better --report slice--> its worth

One factor for all: half-lives cannot be told within a factor of 2 below some 500 conversions, and one by one of far
more. Invariant: a factor is shown only where it is surely better than the half-lives of now, with the number of
factors that were tried taken into account, and its worth is told of leads that had no part in that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from leadscore.learning.gating import LEAST_LATER_CONVERSIONS
from leadscore.learning.proportions import Estimate, Z
from leadscore.learning.ranking_quality import auc_difference
from leadscore.learning.samples import Counts, PairCount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadscore.core.instants import Millis
    from leadscore.core.ruleset import Ruleset

# What half-lives are tried times, by the factor's name; None is no decay at all.
FACTORS: Mapping[str, float | None] = {"1/4": 0.25, "1/2": 0.5, "2": 2.0, "4": 4.0, "none": None}
LEAST_CONVERSIONS = 500
# The normal quantile of 1 - 0.025 / 5: 95 % over all the factors (Bonferroni).
_Z_OF_ALL = 2.576
_LONGEST: Millis = 3650 * 24 * 60 * 60 * 1000

Reason = Literal["shown", "nothing decays", "too few conversions", "as good on later leads"]
Pairs = Mapping[tuple[float, float], Counts]


@dataclass(frozen=True, slots=True)
class HalfLifeSuggestion:
    """The factor that came out best on the gate slice, and what it is worth there and on the report slice.

    `conversions` are those of all leads, `gate_conversions` those of the gate slice.
    `gate_gain` and `report_gain` are the AUC with it less the present one; `tried` are all gains on the gate slice, by
    factor. The interval of `gate_gain` is wide enough for all that were tried together.
    """

    reason: Reason
    conversions: int
    gate_conversions: int
    factor: str | None = None
    gate_gain: Estimate | None = None
    report_gain: Estimate | None = None
    tried: Mapping[str, Estimate] | None = None

    @property
    def shown(self) -> bool:
        """Whether the factor may be shown to people."""
        return self.reason == "shown"

    @property
    def verdict(self) -> str:
        """What came of it, as one sentence for people."""
        match self.reason:
            case "nothing decays":
                return "no criterion has a half-life"
            case "too few conversions":
                needed = f"half-lives take {LEAST_CONVERSIONS} and {LEAST_LATER_CONVERSIONS}"
                return f"not shown: {self.conversions} conversions, {self.gate_conversions} to check by; {needed}"
            case "as good on later leads":
                said = f"{self.factor} times: AUC {_signed(self.gate_gain)}"
                return f"not shown: on later leads the present half-lives were as good ({said})"
            case "shown":
                gains = f"AUC {_signed(self.gate_gain)} on later leads, {_signed(self.report_gain)} on the last ones"
                return f"{'no decay' if self.factor == 'none' else f'half-lives times {self.factor}'}: {gains}"

    def to_dict(self) -> dict[str, object]:
        """Return the suggestion as plain JSON types."""
        return {
            "shown": self.shown,
            "reason": self.reason,
            "verdict": self.verdict,
            "factor": self.factor,
            "conversions": self.conversions,
            "gate_conversions": self.gate_conversions,
            "gate_gain": None if self.gate_gain is None else self.gate_gain.to_dict(),
            "report_gain": None if self.report_gain is None else self.report_gain.to_dict(),
            "tried": {name: gain.to_dict() for name, gain in (self.tried or {}).items()},
        }


def with_half_lives(ruleset: Ruleset, factor: float | None) -> Ruleset:
    """Return a ruleset with all half-lives times `factor`, none with None; states of both keep the same."""

    def times(half_life: Millis | None) -> Millis | None:
        return None if half_life is None or factor is None else min(_LONGEST, max(1, round(half_life * factor)))

    criteria = tuple(one._replace(half_life=times(one.half_life)) for one in ruleset.criteria)
    groups = {name: group._replace(half_life=times(group.half_life)) for name, group in ruleset.groups.items()}
    return replace(ruleset, criteria=criteria, groups=groups)


def suggest_half_lives(
    ruleset: Ruleset, conversions: int, gate: Mapping[str, Iterable[Pairs]], report: Mapping[str, Iterable[Pairs]]
) -> HalfLifeSuggestion:
    """Return the factor that is best on the gate slice, shown where it is surely better than the half-lives of now.

    `gate` and `report` have, by factor, the pairs of scores that leads have as things are and with the factor, in
    parts; `conversions` are those of all leads.
    """
    judged = {name: _joined(gate.get(name, ())) for name in FACTORS}
    # The leads are the same for all factors.
    gate_conversions = max(sum(pair.conversions for pair in pairs) for pairs in judged.values())
    if all(one.half_life is None for one in ruleset.criteria):
        return HalfLifeSuggestion("nothing decays", conversions, gate_conversions)
    tried = {name: auc_difference(pairs) for name, pairs in judged.items()}
    told = {name: gain for name, gain in tried.items() if gain is not None}
    if conversions < LEAST_CONVERSIONS or gate_conversions < LEAST_LATER_CONVERSIONS or not told:
        return HalfLifeSuggestion("too few conversions", conversions, gate_conversions)
    best = max(told, key=lambda name: told[name].value)
    gain = told[best]
    wide = _Z_OF_ALL / Z
    gate_gain = Estimate(
        gain.value, gain.value - wide * (gain.value - gain.low), gain.value + wide * (gain.high - gain.value)
    )
    return HalfLifeSuggestion(
        "shown" if gate_gain.low > 0 else "as good on later leads",
        conversions,
        gate_conversions,
        best,
        gate_gain,
        auc_difference(_joined(report.get(best, ()))),
        told,
    )


def _joined(parts: Iterable[Pairs]) -> list[PairCount]:
    """Return the pairs of all parts, the score with the factor first."""
    leads, conversions = Counter[tuple[float, float]](), Counter[tuple[float, float]]()
    for part in parts:
        for both, counts in part.items():
            leads[both] += counts.leads
            conversions[both] += counts.conversions
    return [PairCount(paced, now, n, conversions[now, paced]) for (now, paced), n in leads.items()]


def _signed(gain: Estimate | None) -> str:
    return "cannot be told" if gain is None else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
