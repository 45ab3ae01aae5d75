"""Whether a suggestion is shown: only where later leads say that it is better, and with what the last leads say of it.

    fit slice --an engine--> Proposal --gate slice--> shown or not --report slice--> what each change is worth

A criterion that seems to hold because of a conversion, and not before it, keeps its points: it would be found worth
whatever it can be given, and later leads would confirm it. Invariant: the slice that a figure is reported on has had
no part in finding the change nor in the decision to show it. Where the world moved, the present points beat every
refit, so that silence is a good answer and is given as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from leadscore.learning.insights import find_leaks
from leadscore.learning.ranking_quality import auc, auc_difference
from leadscore.learning.samples import Counts
from leadscore.learning.suggesting import Change, Freedom, propose

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from leadscore.learning.proportions import Estimate
    from leadscore.learning.samples import Grouped, ScoreRule
    from leadscore.learning.suggesting import Engine, Prior, Proposal

# Below that many conversions learned points are no better than sensible ones made by hand.
LEAST_CONVERSIONS = 100
# DeLong's interval is a large-sample one; of fewer conversions it is too narrow to decide by.
LEAST_LATER_CONVERSIONS = 20

Reason = Literal["shown", "too few conversions", "nothing pays", "as good on later leads"]


class Slices(NamedTuple):
    """The leads to learn from, those to judge by, and those to report on: each a label's window behind the former."""

    fit: Grouped
    gate: Grouped
    report: Grouped


class SliceCounts(NamedTuple):
    """How many leads each slice has, and how many of them converted."""

    fit: Counts
    gate: Counts
    report: Counts

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON types."""
        return {"fit": self.fit._asdict(), "gate": self.gate._asdict(), "report": self.report._asdict()}


class ChangeWorth(NamedTuple):
    """A change, and by how much it alone moves the AUC on the last leads; None where that cannot be told."""

    change: Change
    alone: Estimate | None

    def to_dict(self) -> dict[str, object]:
        """Return the change and its worth as plain JSON types."""
        return {**self.change.to_dict(), "auc_alone": None if self.alone is None else self.alone.to_dict()}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What came of looking for better points.

    `changes` are what was found, shown or not, each with its worth on the report slice. `gate_gain` and `report_gain`
    are the AUC with all changes less the present one; None where they were not looked at. `present` and `changed` are
    the AUC on the report slice. `kept` are the criteria that were locked, had too few leads or are suspected of
    leaking; `suspects` are those last ones, each with the reason.
    """

    reason: Reason
    engine: Engine
    rule: ScoreRule
    changes: tuple[ChangeWorth, ...]
    kept: tuple[str, ...]
    counts: SliceCounts
    gate_gain: Estimate | None = None
    report_gain: Estimate | None = None
    present: Estimate | None = None
    changed: Estimate | None = None
    suspects: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> bool:
        """Whether the changes may be shown to people."""
        return self.reason == "shown"

    @property
    def points(self) -> dict[str, int]:
        """The points to publish, by criterion, of the criteria that change; empty where nothing is shown."""
        return {one.change.criterion: one.change.after for one in self.changes} if self.shown else {}

    @property
    def verdict(self) -> str:
        """What came of it, as one sentence for people."""
        if self.reason == "too few conversions":
            fit, gate = self.counts.fit.conversions, self.counts.gate.conversions
            needed = f"it takes {LEAST_CONVERSIONS} and {LEAST_LATER_CONVERSIONS}"
            return f"not shown: {fit} conversions to learn from and {gate} to check by; {needed}"
        if self.reason == "nothing pays":
            leads, conversions = self.counts.fit
            return f"no change pays for itself on {leads} leads with {conversions} conversions"
        if not self.shown:
            return f"not shown: on later leads the present points were as good (AUC {_signed(self.gate_gain)})"
        changes = "1 change" if len(self.changes) == 1 else f"{len(self.changes)} changes"
        return f"{changes}: AUC {_signed(self.gate_gain)} on later leads, {_signed(self.report_gain)} on the last ones"

    def to_dict(self) -> dict[str, object]:
        """Return the suggestion as plain JSON types."""
        figures = {
            "gate_gain": self.gate_gain,
            "report_gain": self.report_gain,
            "present_auc": self.present,
            "changed_auc": self.changed,
        }
        return {
            "shown": self.shown,
            "reason": self.reason,
            "verdict": self.verdict,
            "engine": self.engine,
            "changes": [one.to_dict() for one in self.changes],
            "kept": list(self.kept),
            "suspects": dict(self.suspects),
            "slices": self.counts.to_dict(),
            **{name: None if one is None else one.to_dict() for name, one in figures.items()},
        }


def suggest(
    slices: Slices,
    rule: ScoreRule,
    engine: Engine = "changes",
    freedom: Freedom | None = None,
    prior: Prior = "none",
    late: Collection[str] = (),
    trusted: Collection[str] = (),
) -> Suggestion:
    """Return what an engine finds on the first slice, whether the second lets it be shown, and its worth on the third.

    `late` are the criteria that read a trait which was written after some lead was scored, `trusted` those that people
    know to be known in time, whatever they look like. Shown is what has the lower end of the paired interval of its AUC
    less the present one above 0 on the gate. Raises ValueError where a slice is of other criteria than the rule.
    """
    fit, gate, report = slices
    if any(one.criteria != rule.criteria for one in slices):
        raise ValueError("the leads were reduced under other criteria than those whose points are to change")
    counts = SliceCounts(*(Counts(one.leads, one.conversions) for one in slices))
    if fit.conversions < LEAST_CONVERSIONS or gate.conversions < LEAST_LATER_CONVERSIONS:
        return Suggestion("too few conversions", engine, rule, (), (), counts)
    proposal, suspects = _propose_without_leaks(fit, rule, engine, freedom or Freedom(), prior, late, trusted)
    if not proposal.changes:
        return Suggestion("nothing pays", engine, rule, (), proposal.kept, counts, suspects=suspects)
    gate_gain = auc_difference(gate.pairs(proposal.rule, rule))
    return Suggestion(
        "shown" if gate_gain is not None and gate_gain.low > 0 else "as good on later leads",
        engine,
        proposal.rule,
        tuple(ChangeWorth(change, _gain_alone(report, rule, change)) for change in proposal.changes),
        proposal.kept,
        counts,
        gate_gain=gate_gain,
        report_gain=auc_difference(report.pairs(proposal.rule, rule)),
        present=auc(report.scores(rule)),
        changed=auc(report.scores(proposal.rule)),
        suspects=suspects,
    )


def _propose_without_leaks(
    fit: Grouped,
    rule: ScoreRule,
    engine: Engine,
    freedom: Freedom,
    prior: Prior,
    late: Collection[str],
    trusted: Collection[str],
) -> tuple[Proposal, dict[str, str]]:
    """Return what an engine finds where all suspects keep their points: those of now, and those of what it finds.

    A leak that has few points now may lift the ranking too much only with those it is given.
    """
    suspects = {name: reason for name, reason in find_leaks(fit, rule, late).items() if name not in trusted}
    while True:
        proposal = propose(fit, rule, engine, replace(freedom, locked=freedom.locked | suspects.keys()), prior)
        changed = {change.criterion for change in proposal.changes}.difference(trusted)
        found = {name: reason for name, reason in find_leaks(fit, proposal.rule).items() if name in changed}
        if not found:
            return proposal, suspects
        suspects |= found


def _gain_alone(report: Grouped, rule: ScoreRule, change: Change) -> Estimate | None:
    return auc_difference(report.pairs(rule.with_points({change.criterion: change.after}), rule))


def _signed(gain: Estimate | None) -> str:
    return "cannot be told" if gain is None else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
