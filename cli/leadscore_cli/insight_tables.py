"""How insights look on a terminal: every estimate with its interval below it, text from events never as markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore_cli.tables import tier_text

Figures = Mapping[str, float] | None
_CANDIDATES = 10
_STYLES = {"leak": "bold red", "wrong-sign": "bold red", "over-pointed": "yellow", "under-pointed": "yellow"}
_NONE = "-"


def insights_view(found: Mapping[str, Any]) -> RenderableType:
    """Return the insights: the sample, the criteria, what they leave out or say twice, and the score over time."""
    parts: list[RenderableType] = [_sample_lines(found)]
    parts += [Text(f"! {warning}", "yellow") for warning in found["warnings"]]
    if found["leads"]:
        parts += [Text(), _criteria_table(found["criteria"]), *_candidates(found), *_redundant(found["pairs"])]
        parts += [Text(), _bands_table(found), Text(), _periods_table(found), *_moves(found["tiers"])]
        parts.append(_calibration_line(found["calibration"]))
    return Group(*parts)


def _sample_lines(found: Mapping[str, Any]) -> Text:
    lines = [
        f"{found['leads']:,} leads of {found['leads_read']:,}, as of {found['at'][:10]}, ruleset {found['ruleset']}"
    ]
    if found["leads"]:
        days = f"{found['window_days']:g} days"
        lines.append(f"scored {found['since']} to {found['until']}; {found['conversions']:,} converted within {days}")
        lines.append(f"base rate {_in_line(found['base_rate'])}; AUC {_in_line(found['auc'], of='')}")
    left_out = [f"{count:,} {why}" for why, count in found["omitted"].items() if count]
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}")
    return Text("\n".join(lines))


def _criteria_table(criteria: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(
        "Criterion", "Points", "Holds for", "Rate", "Lift", "Log-odds alone", "together", "Fair points", "q", "Findings"
    )
    for one in criteria:
        table.add_row(
            Text(one["criterion"]),
            f"{one['points']:+d}",
            _share(one["support"]),
            _share(one["rate"]),
            _cell(one["lift"], "{:.2f}"),
            _cell(one["log_odds_alone"], "{:+.2f}"),
            _cell(one["log_odds_together"], "{:+.2f}"),
            _cell(one["fair_points"], "{:+.1f}"),
            _chance(one["q"]),
            _findings(one["findings"]),
        )
    return table


def _candidates(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what no criterion reads and yet goes with conversion, and what was not looked at."""
    notable = [one for one in found["candidates"] if one["notable"]]
    if notable:
        table = _table("No criterion reads", "Holds for", "Rate", "Lift", "Log-odds alone", "q")
        for one in notable[:_CANDIDATES]:
            figures = _share(one["support"]), _share(one["rate"]), _cell(one["lift"], "{:.2f}")
            table.add_row(Text(one["name"]), *figures, _cell(one["log_odds_alone"], "{:+.2f}"), _chance(one["q"]))
        yield Text()
        yield table
    if len(notable) > _CANDIDATES:
        yield Text(f"and {len(notable) - _CANDIDATES} more, with --json", "dim")
    if found["not_looked_at"]:
        yield Text(f"too many values to look at: {', '.join(found['not_looked_at'])}", "dim")


def _redundant(pairs: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    for pair in pairs:
        if pair["redundant"]:
            said = f"{pair['one']} and {pair['other']} hold for nearly the same leads"
            yield Text(f"{said}: correlation {_in_line(pair['correlation'], of='')}", "yellow")


def _bands_table(found: Mapping[str, Any]) -> Table:
    table = _table("Score from", "Leads", "Converted", "Rate")
    for band in found["bands"]:
        table.add_row(f"{band['from']:g}", f"{band['leads']:,}", f"{band['conversions']:,}", _share(band["rate"]))
    return table


def _periods_table(found: Mapping[str, Any]) -> Table:
    tiers = [tier["tier"] for tier in found["tiers"]]
    table = _table("Four weeks from", "Leads", "Base rate", "AUC")
    for name in tiers:
        table.add_column(tier_text(name), justify="right")
    for period in found["periods"]:
        rates = {row["tier"]: row["rate"] for row in period["tiers"]}
        table.add_row(
            period["period"],
            f"{period['leads']:,}",
            _share(period["base_rate"]),
            _cell(period["auc"], "{:.2f}"),
            *(_share(rates.get(name)) for name in tiers),
        )
    table.add_section()
    table.add_row(
        "all",
        f"{found['leads']:,}",
        _share(found["base_rate"]),
        _cell(found["auc"], "{:.2f}"),
        *(_share(tier["rate"]) for tier in found["tiers"]),
    )
    return table


def _moves(tiers: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    for tier in tiers:
        if tier["moved_from"] is not None:
            now, before = _in_line(tier["newest"]["rate"]), _in_line(tier["moved_from"])
            yield Text(f"! {tier['tier']} leads convert at {now} now; usual was {before}", "bold yellow")


def _calibration_line(calibration: Mapping[str, Any] | None) -> Text:
    if calibration is None:
        return Text("no probabilities: too few conversions, or more points do not mean better odds", "dim")
    doubling = f"{calibration['doubling_points']:.0f} points double the odds to convert"
    sample = f"{calibration['conversions']:,} conversions of the newest {calibration['leads']:,} leads"
    return Text(f"{doubling}; probabilities are from {sample}, of {calibration['taken_at'][:10]}")


def _findings(findings: Sequence[Mapping[str, str]]) -> Text:
    lines = [Text.assemble((one["kind"], _STYLES.get(one["kind"], "dim")), f": {one['reason']}") for one in findings]
    return Text("\n").join(lines)


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, heading in enumerate(headings):
        words = place == 0 or heading == "Findings"
        table.add_column(escape(heading), justify="left" if words else "right", overflow="fold")
    return table


def _cell(figures: Figures, form: str) -> Text:
    if figures is None:
        return Text(_NONE)
    value, low, high = (form.format(figures[name]) for name in ("value", "low", "high"))
    return Text.assemble(value, "\n", (f"{low} to {high}", "dim"))


def _share(figures: Figures) -> Text:
    return _cell(figures, "{:.1%}")


def _in_line(figures: Figures, of: str = "%") -> str:
    if figures is None:
        return _NONE
    form = "{:.1%}" if of else "{:.2f}"
    value, low, high = (form.format(figures[name]) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _chance(q: float) -> str:
    return "<0.001" if q < 0.001 else f"{q:.3f}"
