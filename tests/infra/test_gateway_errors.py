"""Errors that the gateway answers without a function: SDKs need `code` and `message` in JSON in every one."""

from __future__ import annotations

import json
import re

import pytest

from leadscore.security_headers import SECURITY_HEADERS
from tests.infra.synthesized import Assembly

MUST_HAVE = {
    "DEFAULT_4XX": "bad_request",
    "DEFAULT_5XX": "internal_error",
    "ACCESS_DENIED": "access_denied",
    "EXPIRED_TOKEN": "expired_token",
    "INVALID_API_KEY": "invalid_api_key",
    "INTEGRATION_FAILURE": "unavailable",
    "INTEGRATION_TIMEOUT": "timeout",
    "INVALID_SIGNATURE": "invalid_signature",
    "MISSING_AUTHENTICATION_TOKEN": "missing_authentication",
    "REQUEST_TOO_LARGE": "payload_too_large",
    "RESOURCE_NOT_FOUND": "not_found",
    "THROTTLED": "throttled",
    "UNAUTHORIZED": "unauthorized",
    "UNSUPPORTED_MEDIA_TYPE": "unsupported_media_type",
}


@pytest.fixture
def responses(assembly: Assembly) -> dict[str, dict[str, object]]:
    return {each["ResponseType"]: each for each in assembly.properties("AWS::ApiGateway::GatewayResponse").values()}


def test_bodies_are_json_with_code_and_message(responses: dict[str, dict[str, dict[str, str]]]) -> None:
    bodies = {
        kind: json.loads(each["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"why"'))
        for kind, each in responses.items()
    }

    assert {kind: bodies.get(kind, {}).get("code") for kind in MUST_HAVE} == MUST_HAVE
    for body in bodies.values():
        assert set(body) == {"code", "message"}
        assert body["message"]


def test_browsers_may_read_every_error(responses: dict[str, dict[str, dict[str, str]]]) -> None:
    for each in responses.values():
        headers = each["ResponseParameters"]
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
        assert headers["gatewayresponse.header.Access-Control-Expose-Headers"] == "'Retry-After'"


def test_errors_have_the_headers_of_the_functions_own_answers(
    responses: dict[str, dict[str, dict[str, str]]],
) -> None:
    wanted = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in SECURITY_HEADERS.items()}
    # A quote inside would end the gateway's own.
    assert not any("'" in value for value in SECURITY_HEADERS.values())
    for each in responses.values():
        headers = each["ResponseParameters"]
        assert wanted.items() <= headers.items()
        assert headers["gatewayresponse.header.Cache-Control"] == "'no-store'"


def test_the_gateways_own_words_are_used_where_they_cannot_repeat_the_request(
    responses: dict[str, dict[str, dict[str, str]]],
) -> None:
    for each in responses.values():
        [template] = each["ResponseTemplates"].values()
        assert set(re.findall(r"\$[a-zA-Z.]+", template)) <= {"$context.error.messageString"}


def test_throttled_senders_are_told_when_to_come_back(responses: dict[str, dict[str, dict[str, str]]]) -> None:
    assert responses["THROTTLED"]["ResponseParameters"]["gatewayresponse.header.Retry-After"] == "'1'"


def test_status_codes_stay_the_gateways_own_but_for_what_is_not_signed(
    responses: dict[str, dict[str, object]],
) -> None:
    changed = {kind: each["StatusCode"] for kind, each in responses.items() if "StatusCode" in each}
    headers = responses["MISSING_AUTHENTICATION_TOKEN"]["ResponseParameters"]

    assert changed == {"MISSING_AUTHENTICATION_TOKEN": "401"}
    assert isinstance(headers, dict)
    # RFC 9110 has every 401 say how to authenticate.
    assert headers["gatewayresponse.header.WWW-Authenticate"] == "'AWS4-HMAC-SHA256'"
