"""What is known to name itself in a user agent: crawlers, monitors, previews, and the scanners of links in e-mails.

The patterns of crawlers are those of the package `crawler-user-agents`. Reading and compiling them takes tens of
milliseconds and a search a good part of one, so an ordinary browser is told by its form, and they are never touched
before the first user agent that has another.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

_REMEMBERED = 2048
# By which a program speaks HTTP. Servers' SDKs name it as their own user agent, and are no crawlers for it.
_NO_CRAWLER = "http-library"
# Names that no browser has and that scanners of e-mail have been seen to give, or are said to. Barracuda's: Matomo's
# Device Detector (regexes/bots.yml) and Braze's documentation of bot filtering. Those of the other gateways: guides to
# clicks of security scanners by Suped and by Live Direct Marketing. Mail's image proxies: Google's and Yahoo's own.
# Office's own requests are not here (`ms-office`, `MSOffice`): a person's add-in has them too.
_LINK_SCANNERS = (
    "barracuda",
    "ciscosecureemail",
    "fortimail",
    "googleimageproxy",
    "ironport",
    "messagelabs",
    "microsoft office existence discovery",
    "mimecast",
    "proofpoint",
    "safelinks",
    "twinwavescanner",
    "yahoomailproxy",
)
_PLATFORM = (
    r"Windows NT 10\.0; Win64; x64|Macintosh; Intel Mac OS X 10[_.]\d+(?:[_.]\d+)?|X11; (?:Ubuntu; )?Linux x86_64|"
    r"X11; CrOS x86_64 [\d.]+|Linux; Android 10; K|(?:iPhone|iPad); CPU (?:iPhone )?OS [\d_]+ like Mac OS X|"
    r"Android \d+; Mobile"
)
_ENGINE = r"AppleWebKit/[\d.]+ \(KHTML, like Gecko\)|Gecko/[\d.]+"
_PRODUCT = r"(?:Chrome|Version|Safari|Firefox|Edg|EdgA|EdgiOS|OPR|CriOS|FxiOS|Mobile)/[\w.]+|Mobile"


def is_link_scanner(user_agent: str) -> bool:
    """Return whether it is that of a program that follows the links in people's e-mails."""
    folded = user_agent.lower()
    return any(name in folded for name in _LINK_SCANNERS)


@lru_cache(_REMEMBERED)
def is_crawler(user_agent: str) -> bool:
    """Return whether it is a known crawler's or another program's that no person sits at."""
    return not _ordinary_browsers().fullmatch(user_agent) and bool(_crawlers().search(user_agent))


@cache
def _ordinary_browsers() -> re.Pattern[str]:
    return re.compile(rf"Mozilla/5\.0 \((?:{_PLATFORM})(?:; rv:[\d.]+)?\) (?:{_ENGINE})(?: (?:{_PRODUCT}))*")


@cache
def _crawlers() -> re.Pattern[str]:
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # type: ignore[import-untyped]

    known = (entry for entry in CRAWLER_USER_AGENTS_DATA if _NO_CRAWLER not in entry.get("tags", ()))
    return re.compile("|".join(f"(?:{entry['pattern']})" for entry in known))
