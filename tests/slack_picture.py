"""The README's picture of an alert, drawn from the very blocks that Slack is sent: `python -m tests.slack_picture`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from leadscore.core.alerts import suggest_next_step
from leadscore.core.slack_message import slack_message
from leadscore_cli.sample_alert import sample_alert

PICTURE = Path(__file__).parents[1] / ".github" / "slack-alert.svg"
_NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_WIDTH, _LEFT, _LINE, _CHARACTER = 720, 76, 21, 7.8
_FONT = "font-family='Lato, Helvetica, Arial, sans-serif'"
_INK, _FAINT, _EDGE = "#1d1c1d", "#616061", "#bbbabb"


def draw_sample() -> str:
    """Return the picture of the worked example's alert."""
    plain = sample_alert(_NOW, next_step="")
    [lead] = plain.leads
    alert = sample_alert(_NOW, next_step=suggest_next_step(lead.person, None, lead.reasons))
    return draw(slack_message(alert)["blocks"])


def draw(blocks: list[dict[str, Any]]) -> str:
    """Return Block Kit blocks as an SVG image, near enough to what Slack makes of them."""
    page = _Page()
    page.text(_LEFT, [("Leadscore", True)], size=15)
    page.parts.append(
        f"<rect x='{_LEFT + 96}' y='{page.y - 13}' width='32' height='16' rx='3' fill='#e8e8e8'/>"
        f"<text x='{_LEFT + 101}' y='{page.y - 1}' {_FONT} font-size='10' fill='{_FAINT}'>APP</text>"
    )
    for block in blocks:
        page.y += 6
        _BLOCKS[block["type"]](page, block)
    height = page.y + 18
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' height='{height}'>"
    )
    frame = f"<rect width='{_WIDTH}' height='{height}' rx='8' fill='#ffffff' stroke='#dddddd'/>"
    face = (
        "<rect x='24' y='18' width='36' height='36' rx='5' fill='#1264a3'/>"
        f"<text x='42' y='42' {_FONT} font-size='17' font-weight='bold' fill='#ffffff' text-anchor='middle'>L</text>"
    )
    return "\n".join([head, "<title>An alert in Slack</title>", frame, face, *page.parts, "</svg>", ""])


@dataclass
class _Page:
    """Lines drawn so far, and how far down they reach."""

    y: int = 32
    parts: list[str] = field(default_factory=list)

    def text(self, x: int, spans: list[tuple[str, bool]], *, size: int = 15, colour: str = _INK) -> None:
        drawn = "".join(
            f"<tspan font-weight='{'bold' if bold else 'normal'}'>{escape(words)}</tspan>" for words, bold in spans
        )
        self.parts.append(
            f"<text x='{x}' y='{self.y}' {_FONT} font-size='{size}' fill='{colour}' xml:space='preserve'>{drawn}</text>"
        )

    def line(self, x: int, spans: list[tuple[str, bool]], *, size: int = 15, colour: str = _INK) -> None:
        self.y += _LINE
        self.text(x, spans, size=size, colour=colour)


def _header(page: _Page, block: dict[str, Any]) -> None:
    page.y += 4
    page.line(_LEFT, [(block["text"]["text"], True)], size=18)


def _section(page: _Page, block: dict[str, Any]) -> None:
    if "text" in block:
        for spans in _lines(block["text"]["text"]):
            page.line(_LEFT, spans)
    columns = block.get("fields", [])
    for place in range(0, len(columns), 2):
        top = page.y
        for x, column in zip((_LEFT, _LEFT + 260), columns[place : place + 2], strict=False):
            page.y = top
            for spans in _lines(column["text"]):
                page.line(x, spans)
        page.y += 4


def _actions(page: _Page, block: dict[str, Any]) -> None:
    x, page.y = _LEFT, page.y + 10
    for element in block["elements"]:
        words = element["text"]["text"]
        width = round(len(words) * _CHARACTER) + 26
        page.parts.append(
            f"<rect x='{x}' y='{page.y}' width='{width}' height='28' rx='4' fill='#ffffff' stroke='{_EDGE}'/>"
        )
        page.y += 19
        page.text(x + 13, [(words, True)], size=13)
        page.y -= 19
        x += width + 8
    page.y += 28


def _context(page: _Page, block: dict[str, Any]) -> None:
    for element in block["elements"]:
        for spans in _lines(element["text"]):
            page.line(_LEFT, spans, size=12, colour=_FAINT)


_BLOCKS = {"header": _header, "section": _section, "actions": _actions, "context": _context}


def _lines(markup: str) -> Iterator[list[tuple[str, bool]]]:
    """Yield each line of Slack's markup as texts that are bold or not."""
    for line in markup.split("\n"):
        shown = line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        yield [(words, place % 2 == 1) for place, words in enumerate(re.split(r"\*([^*]+)\*", shown)) if words]


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw_sample(), encoding="utf-8")
