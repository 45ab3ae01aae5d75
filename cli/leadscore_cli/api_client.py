"""The deployed API as its clients see it: events go in with a write key, leads come out with a SigV4 signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NotRequired, Self, TypedDict, cast
from urllib.parse import quote, urlencode

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


class PConvertFields(TypedDict):
    """The chance to convert with its 95 % interval, from 0 to 1."""

    value: float
    low: float
    high: float


class CalibrationFields(TypedDict):
    """What chances are from; the status `none` stands alone. Both are missing from what an older stage answers."""

    status: str
    taken_at: NotRequired[str]
    leads: NotRequired[int]
    conversions: NotRequired[int]
    window_days: NotRequired[float]
    ruleset: NotRequired[str]


class LeadRow(TypedDict):
    """One lead of the ranked list; texts are empty where nothing is known."""

    id: str
    name: str
    email: str
    title: str
    company: str
    score: float
    fit: float
    engagement: float
    tier: str
    p_convert: NotRequired[PConvertFields | None]
    reasons: list[Reason]


class LeadPage(TypedDict):
    """A page of the ranked list, best first, as of the instant `at`."""

    leads: list[LeadRow]
    next_cursor: str | None
    at: str
    calibration: NotRequired[CalibrationFields]


class AccountPerson(TypedDict):
    """One person of an account; `contribution` is what it adds to the account's score."""

    id: str
    name: str
    email: str
    title: str
    company: str
    score: float
    tier: str
    contribution: float


class AccountRow(TypedDict):
    """One account of the ranked list, with those of its people who add most; the name may be empty."""

    id: str
    name: str
    score: float
    tier: str
    people_total: int
    people: list[AccountPerson]


class AccountPage(TypedDict):
    """A page of the ranked list of accounts, best first, as of the instant `at`."""

    accounts: list[AccountRow]
    next_cursor: str | None
    at: str


class AccountDetail(TypedDict):
    """One account with everybody who counts; `truncated` says that there are more people than that."""

    id: str
    name: str
    traits: Json
    at: str
    version: str
    roll_up: str
    score: float
    tier: str
    people: list[AccountPerson]
    people_total: int
    truncated: bool


class LeadScore(TypedDict):
    """The parts of a score that every reader may rely on."""

    total: float
    tier: str
    groups: dict[str, float]
    coverage: float
    next_change_at: str | None


class LeadAsOf(TypedDict):
    """The instant that a lead was asked for as of; `log_begins` is set where the log does not reach back to that."""

    at: str
    log_begins: str | None
    account_traits: str


class LeadDetail(TypedDict):
    """One lead with its score, one explaining line per factor, and its events, newest first."""

    id: str
    as_of: NotRequired[LeadAsOf]
    identities: NotRequired[list[str]]
    traits: Json
    account: str | None
    score: LeadScore
    p_convert: NotRequired[PConvertFields | None]
    calibration: NotRequired[CalibrationFields]
    explanation: list[str]
    events: list[Json]


class ErasureReceipt(TypedDict):
    """What an erasure removed; all zero where it had been erased before, at `erased_at`.

    `events_left` of the `events` are still being removed in the background.
    """

    erased_at: str
    identities: int
    events: int
    events_left: int
    pending_changes: int
    memberships: int


class VerdictAnswer(TypedDict):
    """A verdict as it was written down; `leads` are named as alerts name them, `until` is set for a snooze alone."""

    alert: str
    leads: list[str]
    verdict: str
    reason: str
    by: str
    at: str
    until: str | None


class PublicationFields(TypedDict):
    """One entry of the rulesets' history; `by` is an ARN, empty for what was found published by other means."""

    number: int
    version: str
    replaces: str
    at: str
    by: str
    why: str
    kind: str
    status: str


class Published(TypedDict):
    """What was published, and the ARN of the execution that scores all leads again."""

    publication: PublicationFields
    rescore: str


class ActiveRuleset(TypedDict):
    """What is active, an empty version where it is no ruleset, and since when."""

    version: str
    since: str


class PublicationPage(TypedDict):
    """A page of the rulesets' history, newest first."""

    active: ActiveRuleset
    publications: list[PublicationFields]
    next_cursor: str | None


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
    """Talks to one deployed API; `base` ends in /v1. To be used as a context manager: it holds connections.

    `api_key` is what readers send besides where the API was deployed with a usage plan.
    """

    def __init__(self, base: str, region: str, credentials: Credentials | None, api_key: str | None = None) -> None:
        self._base = base
        self._api_key = api_key
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

    def leads(
        self,
        *,
        tier: str | None = None,
        account: str | None = None,
        owner: str | None = None,
        min_score: float | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> LeadPage:
        """Return a page of the ranked list; needs credentials that may invoke GET /v1/leads."""
        least = None if min_score is None else f"{min_score:f}"
        filters = {"tier": tier, "account": account, "owner": owner, "min_score": least}
        wanted = {**filters, "limit": str(limit), "cursor": cursor}
        query = {name: value for name, value in wanted.items() if value is not None}
        return cast(LeadPage, self._get("/leads", query))

    def lead(self, lead_id: str, *, at: str | None = None, ruleset: str | None = None) -> LeadDetail:
        """Return one lead by any of its ids, as of an instant; needs credentials that may invoke GET /v1/leads/{id}."""
        query = {name: value for name, value in (("at", at), ("ruleset", ruleset)) if value is not None}
        return cast(LeadDetail, self._get(f"/leads/{quote(lead_id, safe='')}", query))

    def accounts(
        self, *, tier: str | None = None, min_score: float | None = None, limit: int = 20, cursor: str | None = None
    ) -> AccountPage:
        """Return a page of the ranked list of accounts; needs credentials that may invoke GET /v1/accounts."""
        least = None if min_score is None else f"{min_score:f}"
        wanted = {"tier": tier, "min_score": least, "limit": str(limit), "cursor": cursor}
        query = {name: value for name, value in wanted.items() if value is not None}
        return cast(AccountPage, self._get("/accounts", query))

    def account(self, account_id: str) -> AccountDetail:
        """Return one account; needs credentials that may invoke GET /v1/accounts/{id}."""
        return cast(AccountDetail, self._get(f"/accounts/{quote(account_id, safe='')}", {}))

    def insights(self) -> dict[str, Any]:
        """Return what each criterion was worth; needs credentials that may invoke GET /v1/insights."""
        return self._get("/insights", {})

    def export(self, lead_id: str) -> Iterator[str]:
        """Yield all that is held about one lead, a JSON text at a time; needs GET /v1/leads/{id}/export.

        Raises CommandError where what arrived is not the whole.
        """
        cursor: str | None = ""
        while cursor is not None:
            query = {"cursor": cursor} if cursor else {}
            body = self._fetch(self._signed("GET", f"/leads/{quote(lead_id, safe='')}/export", query))
            *lines, last = body.decode().splitlines() or [""]
            yield from lines
            cursor = _next_cursor(last)

    def erase(self, lead_id: str) -> ErasureReceipt:
        """Erase one lead by any of its ids; needs credentials that may invoke DELETE /v1/leads/{id}."""
        return cast(ErasureReceipt, self._answer(self._signed("DELETE", f"/leads/{quote(lead_id, safe='')}", {})))

    def judge(self, alert_id: str, said: Mapping[str, str]) -> VerdictAnswer:
        """Say what an alert was worth; needs credentials that may invoke PUT /v1/alerts/{id}/verdict."""
        body = json.dumps(said).encode()
        request = self._signed("PUT", f"/alerts/{quote(alert_id, safe='')}/verdict", {}, body)
        return cast(VerdictAnswer, self._answer(request))

    def publish(self, document: str, why: str, replaces: str) -> Published:
        """Publish a ruleset, which is JSON; needs credentials that may invoke PUT /v1/ruleset."""
        body = json.dumps({"document": json.loads(document), "why": why, "replaces": replaces}).encode()
        return cast(Published, self._answer(self._signed("PUT", "/ruleset", {}, body)))

    def roll_back(self, version: str, why: str, replaces: str | None) -> Published:
        """Publish an earlier ruleset again; needs credentials that may invoke POST /v1/ruleset/rollback."""
        said = {"version": version, "why": why, **({"replaces": replaces} if replaces else {})}
        request = self._signed("POST", "/ruleset/rollback", {}, json.dumps(said).encode())
        return cast(Published, self._answer(request))

    def publications(self, *, limit: int = 20, cursor: str | None = None) -> PublicationPage:
        """Return a page of the rulesets' history; needs credentials that may invoke GET /v1/ruleset/history."""
        query = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        return cast(PublicationPage, self._get("/ruleset/history", query))

    def send(self, write_key: str, batch: Sequence[Mapping[str, object]]) -> BatchAnswer:
        """Post a batch of events; ApiError when the batch as a whole is refused."""
        credentials = base64.b64encode(f"{write_key}:".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        body = json.dumps({"batch": batch}, ensure_ascii=False).encode()
        request = AWSRequest("POST", f"{self._base}/batch", headers=headers, data=body)
        return cast(BatchAnswer, self._answer(request))

    def _get(self, path: str, query: Mapping[str, str]) -> Json:
        return self._answer(self._signed("GET", path, query))

    def _signed(self, verb: str, path: str, query: Mapping[str, str], body: bytes | None = None) -> AWSRequest:
        headers = {"x-api-key": self._api_key} if self._api_key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        # botocore would send a space as a plus sign, and sign it as the %20 that Signature Version 4 asks for.
        asked = urlencode(query, quote_via=quote)
        request = AWSRequest(verb, f"{self._base}{path}{'?' if asked else ''}{asked}", headers=headers, data=body)
        if self._credentials is None:
            raise CommandError("this needs AWS credentials, and none were found")
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(request)
        return request

    def _answer(self, request: AWSRequest) -> Json:
        return _json_object(self._fetch(request))

    def _fetch(self, request: AWSRequest) -> bytes:
        try:
            response = self._http.send(request.prepare())
        except BotoCoreError as problem:
            raise CommandError(f"{request.method} {request.url} got no answer: {problem}") from problem
        status: int = response.status_code
        body: bytes = response.content
        if status != 200:
            content = _json_object(body)
            code, message = content.get("code", "unknown"), content.get("message", "no reason given")
            raise ApiError(status, str(code), str(message))
        return body


def _next_cursor(last_line: str) -> str | None:
    """Return where the next page of an export begins, as its last line says."""
    try:
        page = json.loads(last_line)
        if page["kind"] == "page":
            cursor: str | None = page["next_cursor"]
            return cursor
    except (ValueError, TypeError, KeyError):
        pass
    raise CommandError("the export ended in the middle: fetch it again")


def _json_object(body: bytes) -> Json:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {"message": body[:200].decode(errors="replace")}
