"""Requests as a REST API hands them over, and the answers that it takes."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from leadscore.proxying import ProxyRequest, answer_json, answer_tagged, answer_text, refuse
from leadscore.security_headers import SECURITY_HEADERS
from leadscore.usecases.queries import InvalidQueryError
from tests.functions.envelopes import proxy_event


def asked(path: str, **headers: str) -> ProxyRequest:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return ProxyRequest.from_proxy(proxy_event(path, None, method="GET", headers=sent))


@pytest.mark.parametrize(
    ("path", "route", "name"),
    [
        ("/leads", "GET /leads", ""),
        ("/leads/ada", "GET /leads/{id}", "ada"),
        ("/leads/a%2Fb%25c/export", "GET /leads/{id}/export", "a/b%c"),
        ("/people/leads/ada", "GET /leads/{id}", "ada"),
        ("/people/tiers", "GET /tiers", ""),
    ],
)
def test_the_route_is_the_gateways_own(path: str, route: str, name: str) -> None:
    request = asked(path)
    assert (request.route, request.name) == (route, name)


def test_a_parameter_that_comes_twice_or_is_not_known_is_refused() -> None:
    envelope = proxy_event("/leads", None, method="GET", query={"limit": "1"})
    request = ProxyRequest.from_proxy(envelope)
    assert request.query_of(("limit", "tier")) == request.query == {"limit": "1"}
    with pytest.raises(InvalidQueryError, match="unknown parameter; there are tier"):
        request.query_of(("tier",))
    with pytest.raises(InvalidQueryError, match="there are none here"):
        request.query_of(())
    twice = {**envelope, "multiValueQueryStringParameters": {"limit": ["1", "2"]}}
    with pytest.raises(InvalidQueryError, match="twice"):
        _ = ProxyRequest.from_proxy(twice).query


def test_every_answer_has_the_security_headers_and_is_kept_by_nobody_unless_told() -> None:
    for answer in (
        answer_json(HTTPStatus.OK, {}),
        answer_text(HTTPStatus.OK, "", "text/csv"),
        refuse(HTTPStatus.OK, "", ""),
    ):
        headers = answer["headers"]
        assert isinstance(headers, dict)
        assert headers.items() >= {**SECURITY_HEADERS, "Cache-Control": "no-store"}.items()
    told = answer_json(HTTPStatus.OK, {}, "private, max-age=30")["headers"]
    assert isinstance(told, dict)
    assert told["Cache-Control"] == "private, max-age=30"


@pytest.mark.parametrize(
    ("held", "status"),
    [('"v1"', 304), ('W/"v1"', 304), ('"v0", "v1"', 304), ("*", 304), ('"v0"', 200), ("v1", 200), ("", 200)],
)
def test_who_has_it_already_gets_the_tag_alone(held: str, status: int) -> None:
    answer = answer_tagged(asked("/ruleset", If_None_Match=held), "{}", "v1", "private, no-cache")
    headers = answer["headers"]
    assert isinstance(headers, dict)
    assert (answer["statusCode"], answer["body"]) == (status, "" if status == 304 else "{}")
    assert (headers["ETag"], headers["Cache-Control"]) == ('"v1"', "private, no-cache")


def test_an_error_has_code_and_message_and_what_else_is_told() -> None:
    answer = refuse(HTTPStatus.SERVICE_UNAVAILABLE, "unhealthy", "no table", status="failed")
    assert answer["statusCode"] == 503
    assert json.loads(str(answer["body"])) == {"code": "unhealthy", "message": "no table", "status": "failed"}


def test_a_body_is_read_as_it_was_sent_within_its_bound() -> None:
    def sent(body: bytes | str | None) -> ProxyRequest:
        return ProxyRequest.from_proxy(proxy_event("/alerts/a1/verdict", body, method="PUT"))

    assert [sent(body).text(8) for body in (None, b"", b"caf\xc3\xa9", "caf\u00e9", b"12345678")] == [
        "",
        "",
        "caf\u00e9",
        "caf\u00e9",
        "12345678",
    ]
    for refused in (b"123456789", "123456789", b"x" * 100, b"\xff"):
        with pytest.raises(ValueError, match=r"too long|decode"):
            sent(refused).text(8)


def test_the_caller_is_whoever_signed() -> None:
    envelope = proxy_event("/alerts/a1/verdict", None, method="PUT")
    assert ProxyRequest.from_proxy(envelope).caller == ""
    envelope["requestContext"]["identity"]["userArn"] = "arn:kim"
    assert ProxyRequest.from_proxy(envelope).caller == "arn:kim"
