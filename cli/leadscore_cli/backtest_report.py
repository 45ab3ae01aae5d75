"""A backtest as one HTML page: plots with their tables beside them, readable without a network, a script or eyes.

Invariant: whatever comes from outside, names of files and of tiers, goes through `_element`, which escapes it; and the
page names no address, so that it can be mailed, printed and kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from leadscore.learning.backtesting import Backtest
from leadscore_cli.backtest_plots import plot_base_rate, plot_gain, plot_reliability, plot_scores, plot_tier_rates
from leadscore_cli.backtest_tables import (
    FigureTable,
    PastLeads,
    best_leads,
    gain_table,
    over_time,
    overview,
    reliability_table,
    rulesets,
    score_table,
    team_in_words,
    tier_rates,
    tier_tables,
)

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 76rem;
  margin: 0 auto; padding: 1rem 1.5rem 3rem; }
h1, h2 { line-height: 1.2; }
main > h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
.verdict { font-size: 1.15rem; font-weight: 600; }
.warnings { border-left: .3rem solid #b35900; background: #fff6eb; padding: .5rem 1rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
.pair > * { flex: 1 1 28rem; min-width: 0; margin: 0; }
svg { max-width: 100%; height: auto; }
.scrolled { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; font-size: .875rem; font-weight: 600; padding: .25rem 0; }
th, td { padding: .2rem .75rem .2rem 0; text-align: left; border-bottom: 1px solid #ddd; white-space: nowrap; }
th[scope=row] { font-weight: 400; }
.figure { text-align: right; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; }
@media print { .pair { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_WORDS = {
    "AUC": "the chance that a lead that converts scores above one that does not; 0.5 is chance, 1 is perfect.",
    "Behind a figure": "where the truth lies 95 times in 100.",
    "Gain curve": "how many of the conversions are found when so many leads are worked, best first.",
    "Brier skill": "how much nearer to what came the probabilities are than the base rate; 0 is no nearer.",
    "Calibration error": "how far probabilities are from what came, on average; beside it what chance alone gives.",
    "Points": "points that were learned from these very leads look better here than they are.",
}


class _Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def report_page(backtest: Backtest, tested: PastLeads) -> str:
    """Return the page."""
    title = f"Backtest of {backtest.tested.subject.name}"
    if backtest.against is not None:
        title += f" against {backtest.against.subject.name}"
    head = _element(
        "head",
        _Markup('<meta charset="utf-8">'),
        _Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        _Markup(f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'),
        _element("title", title),
        _element("style", _Markup(_STYLE)),
    )
    versions = "; ".join(f"{one.subject.name} is version {one.subject.version}" for one in rulesets(backtest))
    main = _element(
        "main",
        _element("h1", title),
        _element("p", backtest.verdict, class_="verdict"),
        *(_element("p", sentence) for sentence in team_in_words(backtest)),
        *_warnings(backtest),
        *(_element("p", sentence) for sentence in (*tested.in_words(backtest), f"{versions}.")),
        *_sections(backtest),
        _element("h2", "How to read this"),
        _element(
            "dl", *(_element("div", _element("dt", word), _element("dd", meaning)) for word, meaning in _WORDS.items())
        ),
    )
    return f"<!DOCTYPE html>\n{_element('html', head, _element('body', main), lang='en')}\n"


def _warnings(backtest: Backtest) -> Iterator[_Markup]:
    if backtest.warnings:
        listed = _element("ul", *(_element("li", warning) for warning in backtest.warnings))
        heading = _element("h2", "Mind", id="warnings")
        yield _element("section", heading, listed, class_="warnings", aria_labelledby="warnings")


def _sections(backtest: Backtest) -> Iterator[_Markup]:
    yield _table(overview(backtest), "overview")
    if backtest.whole is None:
        return
    yield _element("h2", "Ranking")
    yield _pair(
        "How many conversions are found, best leads first", plot_gain(backtest), _table(gain_table(backtest), "gain")
    )
    yield _table(best_leads(backtest), "top")
    yield _element("h2", "Tiers")
    yield _table(tier_tables(backtest), "tiers")
    if any(one.reliability is not None for one in rulesets(backtest)):
        yield _element("h2", "Probabilities")
        yield _pair(
            "What was expected of later leads, and what came",
            plot_reliability(backtest),
            _table(reliability_table(backtest), "bins"),
        )
    yield _element("h2", "Over time")
    yield _pair("How many of all leads converted", plot_base_rate(backtest), _table(over_time(backtest), "periods"))
    for number, figures in enumerate(rulesets(backtest), start=1):
        caption = f"How many of each tier converted, {figures.subject.name}"
        table = _table(tier_rates(figures), f"rates-table-{number}")
        yield _pair(caption, plot_tier_rates(figures, f"rates-{number}"), table)
    yield _element("h2", "Scores")
    yield _pair(
        "How many leads have which score, and how many of them converted",
        plot_scores(backtest),
        _table(score_table(backtest), "bands"),
    )


def _pair(caption: str, plot: str, table: _Markup) -> _Markup:
    return _element("div", _element("figure", _element("figcaption", caption), _Markup(plot)), table, class_="pair")


def _table(table: FigureTable, name: str) -> _Markup:
    """Return a table that a narrow window scrolls, by the keyboard as well."""
    caption = _element("caption", table.title, id=f"{name}-caption")
    classes = ["" if place < table.words else "figure" for place in range(len(table.headings))]
    pairs = zip(table.headings, classes, strict=True)
    heads = [_element("th", text, scope="col", class_=name) if text else _element("td") for text, name in pairs]
    rows = []
    for row in table.rows:
        cells = [
            _element("th" if place == 0 else "td", text, scope="row" if place == 0 else "", class_=classes[place])
            for place, text in enumerate(row)
        ]
        rows.append(_element("tr", *cells))
    body = _element("table", caption, _element("thead", _element("tr", *heads)), _element("tbody", *rows))
    label = f"{name}-caption"
    scrolled = _element("div", body, class_="scrolled", role="region", aria_labelledby=label, tabindex="0")
    return _element("div", scrolled, *([_element("p", table.note)] if table.note else []))


def _element(tag: str, *children: str, **attributes: str) -> _Markup:
    """Return an element; children are escaped unless they are elements, attributes that are empty are left out."""
    named = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value)
    written = "".join(f' {key}="{escape(value)}"' for key, value in named)
    inner = "".join(child if isinstance(child, _Markup) else escape(child, quote=False) for child in children)
    return _Markup(f"<{tag}{written}>{inner}</{tag}>")
