"""What a REST API hands to the functions that read, judge and erase, and what it takes from them.

The gateway has chosen the route already, and its choice is believed: nothing parses the path again, so that no other
spelling of a path reaches what the gateway guards. Invariant: every answer carries the security headers and says how
it may be cached, and every error is JSON with `code` and `message`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from leadscore.security_headers import SECURITY_HEADERS
from leadscore.usecases.queries import InvalidQueryError

if TYPE_CHECKING:
    from leadscore import InvalidRuleset

# Under which people who are signed in by Cognito read what machines read by IAM.
PEOPLE_PREFIX = "/people"
# Personal data is kept by nobody on the way.
NO_STORE = "no-store"
_MOST_PROBLEMS = 100

Answer = dict[str, object]


@dataclass(frozen=True)
class ProxyRequest:
    """One request: `route` such as `GET /leads/{id}`, and `name`, what stands there for `{id}`, "" where nothing does.

    May contain personal data: do not log. Header names are in lower case.
    """

    route: str
    name: str
    headers: Mapping[str, str]
    request_id: str
    _values: Mapping[str, list[str]]
    # What was sent, as the gateway hands it on, and whether that is base64.
    _sent: str = ""
    _is_base64: bool = False
    # The ARN of whoever signed the request, "" where nobody did.
    caller: str = ""

    @classmethod
    def from_proxy(cls, envelope: Mapping[str, Any]) -> Self:
        """Return the request in a Lambda proxy event of a REST API."""
        return cls(
            route=f"{envelope['httpMethod']} {envelope['resource'].removeprefix(PEOPLE_PREFIX)}",
            # A REST API leaves it as it stood in the URL.
            name=unquote((envelope["pathParameters"] or {}).get("id", "")),
            headers={name.lower(): value for name, value in (envelope["headers"] or {}).items()},
            request_id=envelope["requestContext"]["requestId"],
            _values=envelope["multiValueQueryStringParameters"] or {},
            _sent=envelope.get("body") or "",
            _is_base64=bool(envelope.get("isBase64Encoded")),
            caller=envelope["requestContext"].get("identity", {}).get("userArn") or "",
        )

    def text(self, most: int) -> str:
        """Return the body; raises ValueError where it is over so many bytes or is no UTF-8."""
        if len(self._sent) > 2 * most:
            raise ValueError("the body is too long")
        sent = b64decode(self._sent, validate=True) if self._is_base64 else self._sent.encode()
        if len(sent) > most:
            raise ValueError("the body is too long")
        return sent.decode()

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the query; raises InvalidQueryError where one comes twice."""
        if any(len(values) > 1 for values in self._values.values()):
            raise InvalidQueryError("a parameter is given twice")
        return {name: values[0] for name, values in self._values.items()}

    def query_of(self, known: Collection[str]) -> dict[str, str]:
        """Return the parameters of the query; raises InvalidQueryError where one is not among `known`."""
        if set(self.query) - set(known):
            there_are = f"there are {', '.join(known)}" if known else "there are none here"
            raise InvalidQueryError(f"unknown parameter; {there_are}")
        return self.query


def answer_json(status: HTTPStatus, content: Mapping[str, object], cache: str = NO_STORE) -> Answer:
    """Return an answer of JSON."""
    return answer_text(status, json.dumps(content), "application/json", {"Cache-Control": cache})


def answer_text(status: HTTPStatus, text: str, kind: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer of text; nobody may keep it unless `headers` say otherwise."""
    said = {"Cache-Control": NO_STORE, **SECURITY_HEADERS, **(headers or {}), "Content-Type": kind}
    return {"statusCode": status.value, "headers": said, "body": text, "isBase64Encoded": False}


def answer_tagged(request: ProxyRequest, text: str, tag: str, cache: str) -> Answer:
    """Return an answer of JSON under an entity tag, or 304 to who has that already."""
    quoted = f'"{tag}"'
    headers = {"ETag": quoted, "Cache-Control": cache}
    held = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if held & {quoted, "*"}:
        return answer_text(HTTPStatus.NOT_MODIFIED, "", "application/json", headers)
    return answer_text(HTTPStatus.OK, text, "application/json", headers)


def refuse(status: HTTPStatus, code: str, message: str, /, **more: object) -> Answer:
    """Return an error; neither `code` nor `message` contains anything that the client sent."""
    return answer_json(status, {"code": code, "message": message, **more})


def refuse_ruleset(error: InvalidRuleset) -> Answer:
    """Return an error with what is wrong with a ruleset: path and message of each problem, never the value."""
    problems = [{"path": each.path, "message": each.message} for each in error.errors[:_MOST_PROBLEMS]]
    message = f"the ruleset cannot be published: {len(error.errors)} problem(s)"
    return refuse(HTTPStatus.BAD_REQUEST, "invalid_ruleset", message, problems=problems)


def answer_failure(request: ProxyRequest) -> Answer:
    """Return the error for what nobody foresaw; it names the request alone, under which the log says more."""
    message = f"the request {request.request_id} failed and may be sent again; its log entry says why"
    return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)
