"""What `leadscore criteria suggest` shows of what was found: figures of leads that had no part in finding it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from leadscore_cli.terminal import out

if TYPE_CHECKING:
    from leadscore.learning.gating import Suggestion
    from leadscore.learning.proportions import Estimate
    from leadscore.learning.suggested_tiers import SuggestedTiers
    from leadscore.learning.tiers import TierRow


def print_suggestion(suggestion: Suggestion) -> None:
    """Show the changes where they may be shown, and the verdict with its figures in any case."""
    if suggestion.shown:
        out.print(_change_table(suggestion))
        out.print()
    out.print(Text(suggestion.verdict, style="bold"), soft_wrap=True)
    if suggestion.present is not None and suggestion.changed is not None:
        aucs = f"{suggestion.present.value:.3f} with the present points, {suggestion.changed.value:.3f} with"
        told = f"AUC on the last leads: {aucs} {'these' if suggestion.shown else 'those that were found'}"
        out.print(Text(told), soft_wrap=True)
    for name, reason in suggestion.suspects.items():
        said = f"{name} keeps its points: {reason} (if it is known in time: --trust {name})"
        out.print(Text.assemble(("! ", "yellow"), said), soft_wrap=True)
    fit, gate, last = suggestion.counts
    counted = f"{fit.leads:,} leads to learn from ({fit.conversions:,} converted), {gate.leads:,} to judge by"
    out.print(
        Text(f"{counted} ({gate.conversions:,}), {last.leads:,} to report on ({last.conversions:,})", "dim"),
        soft_wrap=True,
    )


def print_tiers(tiers: SuggestedTiers) -> None:
    """Show the cuts of now beside those suggested where they may be shown, and the verdict in any case."""
    out.print()
    if tiers.shown:
        out.print(_tier_table(tiers))
        out.print()
    out.print(Text(tiers.verdict, style="bold"), soft_wrap=True)
    if tiers.by_capacity:
        out.print(Text("the highest tier begins where your team's capacity ends", style="dim"))


def _change_table(suggestion: Suggestion) -> Table:
    table = _table("criterion", "now", "suggested", "alone, on the last leads (AUC)")
    for change, alone in suggestion.changes:
        after = f"{change.after:+d}" if change.after else "take out"
        table.add_row(change.criterion, f"{change.before:+d}", after, _gain(alone))
    return table


def _tier_table(tiers: SuggestedTiers) -> Table:
    table = _table("tier", "from", "converted", "a week", "new", "converted", "a week")
    for now, then in zip(tiers.present, tiers.suggested, strict=True):
        table.add_row(now.name, *_tier_cells(now, tiers.weeks), *_tier_cells(then, tiers.weeks))
    return table


def _tier_cells(row: TierRow, weeks: float) -> tuple[str, str, str]:
    rate = row.rate
    told = "" if rate is None else f"{rate.value:.1%} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
    return "" if row.from_ is None else f"{row.from_:g}", told, f"{row.leads / weeks:.1f}"


def _gain(estimate: Estimate | None) -> str:
    if estimate is None:
        return "cannot be told"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def _table(name: str, *figures: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(name, header_style="dim", no_wrap=True)
    for heading in figures:
        table.add_column(heading, justify="right", header_style="dim", no_wrap=True)
    return table
