"""The deployed API as its clients see it: events go in with a write key, leads come out with a SigV4 signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, NotRequired, Self, TypedDict, cast
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from leadscore_cli.failures import CommandError

_TIMEOUT_SECONDS: Final = 30
type Json = dict[str, object]


class Reason(TypedDict):
    """One line of why a lead has its score."""

    criterion: str
    label: str
    points: float


class LeadRow(TypedDict):
    """One lead of the ranked list; texts are empty where nothing is known."""

    id: str
    name: str
    email: str
    company: str
    score: float
    fit: float
    engagement: float
    tier: str
    reasons: list[Reason]


class LeadPage(TypedDict):
    """A page of the ranked list, best first, as of the instant `at`."""

    leads: list[LeadRow]
    next_cursor: str | None
    at: str


class LeadScore(TypedDict):
    """The parts of a score that every reader may rely on."""

    total: float
    tier: str
    groups: dict[str, float]
    coverage: float
    next_change_at: str | None


class LeadDetail(TypedDict):
    """One lead with its score, one explaining line per factor, and its events, newest first."""

    id: str
    traits: Json
    account: str | None
    score: LeadScore
    explanation: list[str]
    events: list[Json]


class RejectedEvent(TypedDict):
    """An event of a batch that was not accepted, by its place in the batch."""

    index: int
    code: str
    message: str


class BatchAnswer(TypedDict):
    """The answer to a batch: what was accepted, and what was not and why."""

    success: bool
    rejected: NotRequired[list[RejectedEvent]]


class ApiError(CommandError):
    """The API refused a request; `code` is its machine-readable reason."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"the API answered {status} {code}: {message}")
        self.status = status
        self.code = code


class ApiClient:
    """Talks to one deployed API; `base` ends in /v1. To be used as a context manager: it holds connections."""

    def __init__(self, base: str, region: str, credentials: Credentials | None) -> None:
        self._base = base
        self._region = region
        self._credentials = credentials
        proxies = get_environ_proxies(base) if base.startswith("https:") else {}
        self._http = URLLib3Session(timeout=_TIMEOUT_SECONDS, proxies=proxies)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def leads(self, *, tier: str | None = None, limit: int = 20, cursor: str | None = None) -> LeadPage:
        """Return a page of the ranked list; needs credentials that may invoke GET /v1/leads."""
        wanted = {"tier": tier, "limit": str(limit), "cursor": cursor}
        query = {name: value for name, value in wanted.items() if value is not None}
        return cast(LeadPage, self._get("/leads", query))

    def lead(self, lead_id: str) -> LeadDetail:
        """Return one lead by any of its ids; needs credentials that may invoke GET /v1/leads/{id}."""
        return cast(LeadDetail, self._get(f"/leads/{quote(lead_id, safe='')}", {}))

    def send(self, write_key: str, batch: Sequence[Mapping[str, object]]) -> BatchAnswer:
        """Post a batch of events; ApiError when the batch as a whole is refused."""
        credentials = base64.b64encode(f"{write_key}:".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        body = json.dumps({"batch": batch}, ensure_ascii=False).encode()
        request = AWSRequest("POST", f"{self._base}/batch", headers=headers, data=body)
        return cast(BatchAnswer, self._answer(request))

    def _get(self, path: str, query: Mapping[str, str]) -> Json:
        request = AWSRequest("GET", self._base + path, params=query)
        if self._credentials is None:
            raise CommandError("reading leads needs AWS credentials, and none were found")
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(request)
        return self._answer(request)

    def _answer(self, request: AWSRequest) -> Json:
        try:
            response = self._http.send(request.prepare())
        except BotoCoreError as problem:
            raise CommandError(f"{request.method} {request.url} got no answer: {problem}") from problem
        status: int = response.status_code
        content = _json_object(response.content)
        if status != 200:
            code, message = content.get("code", "unknown"), content.get("message", "no reason given")
            raise ApiError(status, str(code), str(message))
        return content


def _json_object(body: bytes) -> Json:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {"message": body[:200].decode(errors="replace")}
