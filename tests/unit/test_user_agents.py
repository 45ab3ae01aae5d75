"""Crawlers and link scanners are told by their user agents; people and servers' SDKs are neither."""

from __future__ import annotations

import sys

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # type: ignore[import-untyped]

from leadscore import user_agents
from leadscore.user_agents import is_crawler, is_link_scanner

BLINK, WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)", "AppleWebKit/605.1.15 (KHTML, like Gecko)"
PEOPLE = [
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK} Chrome/142.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (X11; Linux x86_64) {BLINK} Chrome/142.0.7444.59 Safari/537.36",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Chrome/142.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Android 14; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {WEBKIT} Version/18.6 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 10; K) {BLINK} Chrome/142.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
]
UNUSUAL_PEOPLE = [
    f"Mozilla/5.0 (Linux; Android 14; CUBOT KINGKONG 9) {BLINK} Chrome/120.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {WEBKIT} Mobile/15E148 [FBAN/FBIOS;FBAV/510.0]",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK} Slack/4.44.65 Chrome/134.0.0.0 Electron/35.0.0 Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; ms-office; MSOffice 16)",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A)",
]
# As released SDKs and the libraries below them name themselves.
SERVERS = [
    "analytics-python/2.4.0",
    "rudder-sdk-python/2.1.4",
    "python-requests/2.32.5",
    "axios/1.12.0",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "@segment/analytics-node/3.1.0",
    "undici",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "Dart/3.5 (dart:io)",
    "analytics-ruby/2.5.0",
    "Segment/4.1 CFNetwork/1410 Darwin/22.6.0",
    "curl/8.9.1",
]
CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    f"Mozilla/5.0 (X11; Linux x86_64) {BLINK} HeadlessChrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    f"Mozilla/5.0 (X11; Linux x86_64) {BLINK} Chrome/142.0.0.0 Safari/537.36 DatadogSynthetics",
]
SCANNERS = [
    "Barracuda Sentinel (EE)",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Mozilla/5.0 (compatible; proofpoint)",
    "Microsoft Office Existence Discovery",
]


@pytest.mark.parametrize("agent", [*PEOPLE, *UNUSUAL_PEOPLE, *SERVERS, ""])
def test_people_and_servers_are_neither(agent: str) -> None:
    assert (is_crawler(agent), is_link_scanner(agent)) == (False, False)


@pytest.mark.parametrize("agent", CRAWLERS)
def test_crawlers_are_told(agent: str) -> None:
    assert is_crawler(agent)


@pytest.mark.parametrize("agent", SCANNERS)
def test_scanners_of_links_are_told(agent: str) -> None:
    assert is_link_scanner(agent)


def test_no_known_crawler_is_taken_for_an_ordinary_browser() -> None:
    known = [agent for entry in CRAWLER_USER_AGENTS_DATA for agent in entry["instances"]]
    assert len(known) > 1000
    assert [agent for agent in known if user_agents._ordinary_browsers().fullmatch(agent)] == []


def test_crawlers_are_told_by_all_patterns_but_those_of_http_libraries() -> None:
    judged = [entry for entry in CRAWLER_USER_AGENTS_DATA if "http-library" not in entry["tags"]]
    assert len(judged) > 1000
    missed = [agent for entry in judged for agent in entry["instances"] if not is_crawler(agent)]
    assert missed == []


def test_ordinary_browsers_do_not_touch_the_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    is_crawler.cache_clear()
    monkeypatch.setitem(sys.modules, "crawleruseragents", None)
    user_agents._crawlers.cache_clear()
    assert not any(map(is_crawler, PEOPLE))
    with pytest.raises(ModuleNotFoundError):
        is_crawler(UNUSUAL_PEOPLE[0])


def test_verdicts_are_remembered_up_to_a_bound() -> None:
    is_crawler.cache_clear()
    for number in range(3_000):
        is_crawler(f"{PEOPLE[0]} Edg/{number}.0")
    remembered = is_crawler.cache_info()
    assert remembered.currsize == remembered.maxsize == 2048
