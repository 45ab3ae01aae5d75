"""The documents that SDKs load before they send: what each loader needs, leading back to the host that was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leadscore.ingest.requests import IngestRequest
from leadscore.ingest.responses import answer_document
from leadscore.ingest.sdk_documents import find_document
from tests.functions.envelopes import proxy_event

HOST = "abc123.execute-api.us-east-1.amazonaws.com"


def asked(path: str, *, method: str = "GET", full_path: str | None = None, **context: Any) -> Any:
    """The document that the path gives, as JSON would carry it; None where it gives none."""
    envelope = proxy_event(path, None, method=method)
    envelope["requestContext"] |= context
    if full_path is not None:
        envelope["requestContext"]["path"] = full_path
    document = find_document(IngestRequest.from_proxy(envelope))
    return document and json.loads(json.dumps(document.content))


def segment(*path: Any, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = asked(*path, **options)["integrations"]["Segment.io"]
    return settings


# @segment/analytics-next: /v1/projects/{key}/settings


def test_segments_settings_lead_back_to_the_host_that_was_asked() -> None:
    settings = segment("/projects/wk_1-a/settings")

    # The SDK sends to `${protocol}://${apiHost}/t`, with `apiKey` as Basic user and as writeKey.
    assert (settings["protocol"], settings["apiHost"]) == ("https", f"{HOST}/v1")
    assert settings["apiKey"] == "wk_1-a"


@pytest.mark.parametrize(
    ("path", "full_path", "base"),
    [
        ("/projects/k/settings", "/v1/projects/k/settings", "/v1"),
        ("/projects/k/settings/", "/v1/projects/k/settings/", "/v1"),
        pytest.param("/v1/projects/k/settings", "/v1/projects/k/settings", "/v1", id="a domain maps v1 to the stage"),
        pytest.param("/in/v1/projects/k/settings", "/in/v1/projects/k/settings", "/in/v1", id="and a longer path"),
        pytest.param("/v1/projects/k/settings", "/beacon/v1/projects/k/settings", "/beacon/v1", id="another stage"),
    ],
)
def test_events_go_to_the_base_that_the_settings_came_from(path: str, full_path: str, base: str) -> None:
    assert segment(path, full_path=full_path, domainName="events.company.example")["apiHost"] == (
        f"events.company.example{base}"
    )


def test_the_emulator_is_reached_as_it_was_asked() -> None:
    """It names no domain, and has no certificate."""
    envelope = proxy_event("/projects/k/settings", None, method="GET", headers={"Host": "127.0.0.1:4567"})
    del envelope["requestContext"]["domainName"]
    document = find_document(IngestRequest.from_proxy(envelope))
    assert document is not None
    settings = json.loads(json.dumps(document.content))["integrations"]["Segment.io"]
    assert (settings["protocol"], settings["apiHost"]) == ("http", "127.0.0.1:4567/v1")


def test_on_aws_the_host_header_is_not_believed() -> None:
    envelope = proxy_event("/projects/k/settings", None, method="GET", headers={"Host": "evil.example"})
    document = find_document(IngestRequest.from_proxy(envelope))
    assert document is not None
    assert "evil.example" not in json.dumps(document.content)


@pytest.mark.parametrize("key", ["<script>", "a b", "é", "x" * 129, "{{k}}", "a.b", "%3Cscript%3E"])
def test_what_cannot_be_a_key_is_not_repeated(key: str) -> None:
    found = asked(f"/projects/{key}/settings")
    assert found["integrations"]["Segment.io"]["apiKey"] == ""
    assert key not in json.dumps(found)
    assert key not in json.dumps(found, ensure_ascii=False)


def test_segments_settings_have_nothing_that_makes_the_sdk_load_more() -> None:
    found = asked("/projects/k/settings")
    assert list(found["integrations"]) == ["Segment.io"]
    assert (found["remotePlugins"], found["middlewareSettings"], found["enabledMiddleware"]) == ([], {}, {})
    assert found["metrics"] == {"sampleRate": 0}
    assert found["legacyVideoPluginsEnabled"] is False


# @rudderstack/analytics-js: {configUrl}/sourceConfig


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/", "/v1/sourceConfig/"])
def test_rudderstacks_configuration_is_one_that_its_loader_takes(path: str) -> None:
    found = asked(path)
    source = found["source"]
    assert source["enabled"] is True
    assert (isinstance(source["id"], str), isinstance(source["config"], dict)) == (True, True)
    assert source["destinations"] == []
    assert found["consentManagementMetadata"]["providers"] == []


def test_rudderstacks_sdk_keeps_the_data_plane_that_the_page_gives() -> None:
    assert "dataplanes" not in asked("/sourceConfig")["source"]


def test_rudderstacks_sdk_reports_nothing_about_itself() -> None:
    stats = asked("/sourceConfig")["source"]["config"]["statsCollection"]
    assert stats == {"errors": {"enabled": False}, "metrics": {"enabled": False}}


# Answers


def test_a_document_depends_on_nothing_but_its_url() -> None:
    """Or a shared cache would hand one client's to another."""
    plain = proxy_event("/projects/k/settings", None, method="GET")
    headers = {"X-Forwarded-Host": "evil.example", "Origin": "https://evil.example", "Authorization": "Basic eDo="}
    other = proxy_event("/projects/k/settings", None, method="GET", headers=headers, query={"writeKey": "other"})
    assert find_document(IngestRequest.from_proxy(plain)) == find_document(IngestRequest.from_proxy(other))


def test_a_document_may_be_kept_for_minutes_and_read_by_any_page() -> None:
    document = find_document(IngestRequest.from_proxy(proxy_event("/sourceConfig", None, method="GET")))
    assert document is not None
    response = answer_document(document)
    assert response["statusCode"] == 200
    assert response["headers"]["Cache-Control"] == "public, max-age=300"
    assert response["headers"]["Content-Type"] == "application/json"
    assert response["headers"]["Access-Control-Allow-Origin"] == "*"
    assert response["headers"]["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/sourceConfig", "/projects/k/settings"])
def test_head_is_answered_without_a_body(path: str) -> None:
    """By which RudderStack's SDK asks whether an ad blocker is at work."""
    document = find_document(IngestRequest.from_proxy(proxy_event(path, None, method="HEAD")))
    assert document is not None
    response = answer_document(document, head=True)
    assert (response["statusCode"], response["body"]) == (200, "")


def test_figures_of_the_sdk_itself_are_taken_and_not_cached() -> None:
    document = find_document(IngestRequest.from_proxy(proxy_event("/m", '{"series":[]}')))
    assert document is not None
    response = answer_document(document)
    assert (response["statusCode"], json.loads(response["body"])) == (200, {"success": True})
    assert response["headers"]["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/projects/k/settings"),
        ("GET", "/projects/settings"),
        ("GET", "/projects/a/b/settings"),
        ("GET", "/projects/k/settings/x"),
        ("GET", "/settings"),
        ("POST", "/sourceConfig"),
        ("GET", "/m"),
        ("POST", "/batch"),
        ("GET", "/"),
        ("DELETE", "/sourceConfig"),
    ],
)
def test_anything_else_is_no_document(method: str, path: str) -> None:
    assert asked(path, method=method) is None
