"""Requests in the shape that a REST API's Lambda proxy integration hands them over in."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}


def proxy_event(
    path: str,
    body: bytes | str | None,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    method: str = "POST",
) -> dict[str, Any]:
    """Return the envelope of one request: bytes arrive in base64, text arrives as it is."""
    binary = isinstance(body, bytes)
    resource, parameters = _route(path)
    sent = {"Host": "abc123.execute-api.us-east-1.amazonaws.com", "X-Forwarded-Proto": "https", **(headers or {})}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "r1",
            "resourcePath": resource,
            "httpMethod": method,
            "requestTime": "01/Mar/2026:12:00:00 +0000",
            "path": f"/v1{path}",
            "accountId": "111122223333",
            "protocol": "HTTP/1.1",
            "stage": "v1",
            "requestTimeEpoch": 1772366400250,
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "analytics-python/2.4.0"},
            "apiId": "abc123",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123",
        },
        "body": b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": binary,
    }


def _route(path: str) -> tuple[str, dict[str, str] | None]:
    """Return the resource that a path belongs to, and what stands in it for the parameter, encoded as it was sent."""
    match path.strip("/").split("/"):
        case [("leads" | "accounts" | "alerts") as what, name, *rest]:
            return "/".join(["", what, "{id}", *rest]), {"id": name}
        case ["people", *rest]:
            resource, parameters = _route(f"/{'/'.join(rest)}")
            return f"/people{resource}", parameters
    return path, None
