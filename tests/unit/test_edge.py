"""What goes along with an event about how it came: a browser's agent, an address, whether anybody sees the page."""

from __future__ import annotations

from typing import Any

import pytest

from leadscore.edge import MAX_USER_AGENT_CHARACTERS, Edge

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


def test_of_a_page_the_browser_is_told() -> None:
    for header in ("origin", "referer"):
        headers = {"user-agent": CHROME, header: "https://product.example"}
        assert Edge.of_request(headers, "192.0.2.1") == Edge("192.0.2.1", CHROME)


def test_a_server_that_names_its_sdk_is_not_judged_by_it() -> None:
    assert Edge.of_request({"user-agent": "python-requests/2.32.5"}, "192.0.2.1") == Edge("192.0.2.1", None)


def test_of_an_endless_agent_only_the_beginning_is_told() -> None:
    edge = Edge.of_request({"user-agent": "x" * 10_000, "origin": "null"}, None)
    assert edge.user_agent == "x" * MAX_USER_AGENT_CHARACTERS


@pytest.mark.parametrize(
    ("headers", "prefetch"),
    [
        ({"sec-purpose": "prefetch"}, True),
        ({"sec-purpose": "prefetch;prerender"}, True),
        ({"sec-purpose": "prefetch;anonymous-client-ip"}, True),
        ({"purpose": "Prefetch"}, True),
        ({"x-purpose": "preview"}, True),
        ({"x-moz": "prefetch"}, True),
        ({"purpose": "instant"}, False),
        ({"sec-fetch-dest": "prefetch"}, False),
        ({}, False),
    ],
)
def test_what_is_loaded_ahead_of_time_is_told(headers: dict[str, str], prefetch: bool) -> None:
    assert Edge.of_request(headers, None).prefetch is prefetch


@pytest.mark.parametrize("edge", [Edge(), Edge("192.0.2.1"), Edge("192.0.2.1", CHROME, prefetch=True)])
def test_an_edge_comes_out_of_a_message_as_it_went_in(edge: Edge) -> None:
    assert Edge.from_json(edge.to_json()) == edge


def test_what_is_not_known_takes_no_room() -> None:
    assert Edge().to_json() == {}


@pytest.mark.parametrize("content", [None, [], "edge", {"ip": 5, "userAgent": ["a"], "prefetch": "yes"}])
def test_what_is_of_no_use_is_not_known(content: Any) -> None:
    assert Edge.from_json(content) == Edge()
