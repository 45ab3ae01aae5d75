"""The report of a backtest: one page that needs nothing from elsewhere, says the same to eyes and ears, and escapes."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from random import Random

import pytest

from leadscore.core.instants import DAY
from leadscore.core.ruleset import Tier
from leadscore.learning.backtesting import Backtest, Subject, run_backtest
from leadscore.learning.samples import PairCount
from leadscore_cli.backtest_report import report_page
from leadscore_cli.backtest_tables import PastLeads, best_leads, overview, rate, tier_tables

TIERS = (Tier("hot", 60), Tier("warm", 30), Tier("cold", None))
LEADS = PastLeads("the log of the stage local", "2026-11-01T00:00:00.000Z", "random", 9000, 2100, {"too recent": 20}, 3)
VOID = {"meta"}
ADDRESSED = {"src", "srcset", "action", "formaction", "poster", "data", "background", "cite", "ping", "xlink:href"}


def tried(*, two: bool = True, weeks: int = 30, name: str = "new.yaml") -> Backtest:
    draw = Random(3)
    history: dict[int, list[PairCount]] = {}
    for week in range(2900, 2900 + weeks):
        scores = [(float(draw.randint(0, 90)), float(draw.randint(0, 90))) for _ in range(70)]
        history[week] = [PairCount(a, b, 1, int(draw.random() < (a + b) / 600)) for a, b in scores]
    against = Subject("active", "2" * 12, TIERS) if two else None
    return run_backtest(history, Subject(name, "1" * 12, TIERS), against, window=30 * DAY, per_week=10)


class Page(HTMLParser):
    """A page as it is read: its elements with what they are in, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, *tags: str) -> list[str]:
        return [text for tag, text in self.texts if tag in tags]


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(tried(), LEADS)


def test_the_page_has_a_title_a_verdict_and_a_section_for_each_question(page: str) -> None:
    read = Page(page)
    assert read.open == []
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert read.said("h1") == ["Backtest of new.yaml against active"] == [read.texts[0][1]]
    assert read.said("h2") == [
        "Mind",
        "Ranking",
        "Tiers",
        "Probabilities",
        "Over time",
        "Scores",
        "How to read this",
    ]
    assert read.said("caption") == [
        "In short",
        "Gain curve",
        "The top of the list",
        "Tiers",
        "Reliability of the probabilities",
        "Over time",
        "How many of each tier converted, new.yaml",
        "How many of each tier converted, active",
        "Scores",
    ]
    assert read.said("figcaption") == [
        "How many conversions are found, best leads first",
        "What was expected of later leads, and what came",
        "How many of all leads converted",
        "How many of each tier converted, new.yaml",
        "How many of each tier converted, active",
        "How many leads have which score, and how many of them converted",
    ]


def test_the_page_names_no_address_and_runs_nothing(page: str) -> None:
    read = Page(page)
    assert "://" not in page
    assert not {name for name, _ in read.elements} & {"script", "link", "img", "iframe", "object", "embed", "base", "a"}
    for _, attributes in read.elements:
        assert not attributes.keys() & ADDRESSED
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "@import" not in page
    assert page.count("url(") == page.count("url(#")
    policies = [meta["content"] for meta in read.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_plot_says_what_it_shows_and_has_a_table_beside_it(page: str) -> None:
    read = Page(page)
    plots = read.of("svg")
    named = {attributes["id"] for _, attributes in read.elements if "id" in attributes}
    assert len(plots) == len(read.of("figure")) == sum(div.get("class") == "pair" for div in read.of("div")) == 6
    for plot in plots:
        assert plot["role"] == "img"
        title, description = plot["aria-labelledby"].split()
        assert {title, description} <= named
    assert all(len(text) > 20 for text in read.said("desc"))
    assert "tested: the best 20 % of leads hold" in read.said("desc")[0]


def test_ids_are_the_pages_own_and_what_refers_to_them_finds_them(page: str) -> None:
    read = Page(page)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = {attributes["href"][1:] for _, attributes in read.elements if "href" in attributes}
    referred |= {name for _, each in read.elements for name in each.get("aria-labelledby", "").split()}
    referred |= {part.split(")")[0] for part in page.split("url(#")[1:]}
    assert referred
    assert referred <= set(ids)


def test_tables_have_heads_and_are_reached_by_the_keyboard(page: str) -> None:
    read = Page(page)
    scrolled = [div for div in read.of("div") if div.get("class") == "scrolled"]
    assert len(scrolled) == len(read.of("table")) == 9
    assert all(div["tabindex"] == "0" and div["role"] == "region" and div["aria-labelledby"] for div in scrolled)
    assert {head["scope"] for head in read.of("th")} == {"col", "row"}


def test_the_figures_are_the_backtests(page: str) -> None:
    found = tried()
    said = Page(page).said("td", "th")
    for table in (overview(found), best_leads(found), tier_tables(found)):
        for row in table.rows:
            assert all(cell in said for cell in row if cell)
    assert rate(found.tested.tiers[0].rate) in said
    assert found.verdict in Page(page).said("p")
    assert "Left out: 20 too recent." in Page(page).said("p")
    assert len([text for text in Page(page).said("p") if text.startswith("At 10 leads a week the cut of ")]) == 2


def test_the_same_backtest_gives_the_same_page(page: str) -> None:
    assert report_page(tried(), LEADS) == page


def test_what_comes_from_outside_is_escaped() -> None:
    name = "<script>alert('x')</script>&\"].yaml"
    evil = PastLeads("<b onclick=x>log</b>", "now", "random", 1, 1, {"<i>": 2})
    read = Page(report_page(tried(name=name), evil))
    assert read.open == []
    assert not {"script", "b", "i"} & {tag for tag, _ in read.elements}
    assert read.said("h1") == [f"Backtest of {name} against active"]
    assert any("<b onclick=x>log</b>" in text for text in read.said("p"))
    assert any(name in text for text in read.said("li"))


def test_one_ruleset_has_no_column_of_names() -> None:
    read = Page(report_page(tried(two=False), LEADS))
    assert read.said("h1") == ["Backtest of new.yaml"]
    assert "Ruleset" not in read.said("th")
    assert "against" not in " ".join(read.said("text"))


def test_a_short_history_has_a_page_without_probabilities() -> None:
    read = Page(report_page(tried(weeks=3), LEADS))
    assert "Probabilities" not in read.said("h2")
    assert any("history is too short" in text for text in read.said("li"))


def test_no_leads_have_a_page_that_says_so() -> None:
    nothing = run_backtest({}, Subject("new.yaml", "1" * 12, TIERS), window=DAY, per_week=1)
    read = Page(report_page(nothing, LEADS))
    assert read.of("svg") == []
    assert any("nothing can be said" in text for text in read.said("p"))


def test_no_command_waits_for_the_plotting_library() -> None:
    program = "import sys, leadscore_cli.main; print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
