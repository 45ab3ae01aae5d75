"""The plots of a backtest as SVG for one HTML page: text stays text, nothing is fetched, each says what it shows.

Invariant: all ids of a plot begin with its name, so that several can stand on one page. Colours are told apart by the
colour-blind too, and by line and marker without any.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from leadscore.learning.backtesting import Backtest, RulesetFigures
from leadscore.learning.proportions import Estimate

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe and Ito's palette.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "leadscore",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}
_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
_GREY = "#767676"
_WIDTH, _HEIGHT = 6.4, 4.0
_CAP = 3


def plot_gain(backtest: Backtest) -> str:
    """Return the gain curves: how many of the conversions are among the best so many leads."""

    def draw(figure: Figure) -> None:
        axes = _percent_axes(figure, "Leads taken from the top of the list", "Conversions among them", both=True)
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":", label="in any order")
        for place, figures in enumerate(_rulesets(backtest)):
            shares = [point.share for point in figures.gain]
            estimates = [point.reached for point in figures.gain]
            axes.fill_between(
                shares, [e.low for e in estimates], [e.high for e in estimates], color=_COLOURS[place], alpha=0.15
            )
            values = [e.value for e in estimates]
            axes.plot(shares, values, color=_COLOURS[place], linestyle=_LINES[place], label=_labels(backtest)[place])
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")

    return _svg("gain", "Gain curve", _describe_gain(backtest), draw)


def plot_reliability(backtest: Backtest) -> str:
    """Return what was expected of leads against what came, on the later leads."""

    def draw(figure: Figure) -> None:
        axes = _percent_axes(figure, "Expected to convert", "Converted", both=True)
        highest = 0.0
        for place, figures in enumerate(_rulesets(backtest)):
            if figures.reliability is None:
                continue
            bins = figures.reliability.bins
            expected = [one.expected for one in bins]
            highest = max([highest, *expected, *(one.rate.high for one in bins)])
            _errorbar(axes, expected, [one.rate for one in bins], place, _labels(backtest)[place])
        axes.plot([0, highest], [0, highest], color=_GREY, linestyle=":", label="as expected")
        axes.set(xlim=(0, None), ylim=(0, None))
        axes.legend(loc="upper left")

    title = "Reliability of the probabilities on later leads"
    return _svg("reliability", title, "The nearer to the diagonal, the truer. The figures are in the table.", draw)


def plot_base_rate(backtest: Backtest) -> str:
    """Return the share of all leads that converted, period by period."""

    def draw(figure: Figure) -> None:
        axes = _percent_axes(figure, "Leads scored from", "Converted")
        rates = [(place, one.base_rate) for place, one in enumerate(backtest.tested.periods)]
        known = [(place, rate) for place, rate in rates if rate is not None]
        _errorbar(axes, [float(place) for place, _ in known], [rate for _, rate in known], 0, "all leads")
        _name_periods(axes, [one.name for one in backtest.tested.periods])

    return _svg("base-rate", "Base rate over time", "The share of all leads that converted, with its interval.", draw)


def plot_tier_rates(figures: RulesetFigures, name: str) -> str:
    """Return the share of each tier's leads that converted, period by period; `name` is the plot's own."""

    def draw(figure: Figure) -> None:
        axes = _percent_axes(figure, "Leads scored from", "Converted")
        for place, tier in enumerate(figures.subject.tiers):
            rows = [
                (x, row.rate) for x, one in enumerate(figures.periods) for row in one.tiers if row.name == tier.name
            ]
            known = [(x, rate) for x, rate in rows if rate is not None]
            # Side by side, so that intervals do not hide each other.
            offset = (place - (len(figures.subject.tiers) - 1) / 2) * 0.12
            _errorbar(axes, [x + offset for x, _ in known], [rate for _, rate in known], place, tier.name)
        _name_periods(axes, [one.name for one in figures.periods])
        figure.legend(loc="outside upper left", ncols=4)

    return _svg(name, "Tier rates over time", "The share of each tier's leads that converted, with its interval.", draw)


def plot_scores(backtest: Backtest) -> str:
    """Return how many leads have which score, and below it how many of them converted."""

    def draw(figure: Figure) -> None:
        figure.set_size_inches(_WIDTH, 1.5 * _HEIGHT)
        upper, lower = figure.subplots(2, 1, sharex=True)
        for place, figures in enumerate(_rulesets(backtest)):
            bands = [(row.from_ or 0.0, row) for row in reversed(figures.bands)]
            edges = [from_ for from_, _ in bands]
            width = edges[1] - edges[0] if len(edges) > 1 else 10.0
            colour, line, label = _COLOURS[place], _LINES[place], _labels(backtest)[place]
            shares = [row.share.value for _, row in bands]
            upper.stairs(shares, [*edges, edges[-1] + width], color=colour, linestyle=line, label=label)
            known = [(from_ + width / 2, row.rate) for from_, row in bands if row.rate is not None]
            _errorbar(lower, [x for x, _ in known], [rate for _, rate in known], place, label)
        upper.set(ylabel="Share of leads", ylim=(0, None))
        lower.set(xlabel="Score", ylabel="Converted", ylim=(0, None))
        for axes in (upper, lower):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        upper.legend()

    return _svg("scores", "Scores", "Above, the share of leads by score; below, how many of them converted.", draw)


def _rulesets(backtest: Backtest) -> list[RulesetFigures]:
    return [one for one in (backtest.tested, backtest.against) if one is not None]


def _labels(backtest: Backtest) -> tuple[str, ...]:
    return ("tested", "against") if backtest.against else ("tested",)


def _describe_gain(backtest: Backtest) -> str:
    told = []
    for label, figures in zip(_labels(backtest), _rulesets(backtest), strict=True):
        reached = {round(point.share, 2): point.reached.value for point in figures.gain}
        if 0.2 in reached:
            told.append(f"{label}: the best 20 % of leads hold {reached[0.2]:.0%} of the conversions")
    return "; ".join(told) or "Without conversions there is no curve."


def _percent_axes(figure: Figure, x: str, y: str, *, both: bool = False) -> Axes:
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if both:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    return axes


def _errorbar(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], place: int, label: str) -> None:
    below, above = [e.value - e.low for e in estimates], [e.high - e.value for e in estimates]
    axes.errorbar(
        x,
        [e.value for e in estimates],
        yerr=[below, above],
        color=_COLOURS[place % len(_COLOURS)],
        linestyle=_LINES[place % len(_LINES)],
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=4,
        linewidth=1.2,
        capsize=_CAP,
        label=label,
    )


def _name_periods(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_ylim(0, None)


def _svg(name: str, title: str, description: str, draw: Callable[[Figure], None]) -> str:
    """Return the figure that `draw` fills as an `svg` element for HTML."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=_METADATA)
    root = ElementTree.fromstring(text.getvalue())  # noqa: S314  written by the line above
    for element in root.iter():
        element.tag = _local(element.tag)
        # HTML knows both names without their spaces; with them the page would name addresses.
        element.attrib = {_local(key): _own(_local(key), value, name) for key, value in element.attrib.items()}
    for position, (tag, words) in enumerate((("title", title), ("desc", description))):
        told = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        told.text = words
        root.insert(position, told)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _own(attribute: str, value: str, name: str) -> str:
    """Return an attribute's value with the ids in it made the plot's own."""
    if attribute == "id":
        return f"{name}-{value}"
    if attribute == "href":
        return value.replace("#", f"#{name}-", 1)
    return value.replace("url(#", f"url(#{name}-")
