"""feedback: what people say of an alert is written down; a snooze holds at once.

Trigger: REST API. `PUT /alerts/{id}/verdict` is for machines and signed; `GET` and `POST` of the same path are for
people with the link of an alert, which carries the alert's token: a GET asks and changes nothing, since mail scanners
follow links, and the POST of its button says it. Whatever is said may be said again. Neither token nor lead is logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.clients import dynamodb_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.settings import FeedbackSettings
from leadscore.core.instants import from_datetime
from leadscore.core.verdicts import InvalidVerdictError, VerdictKind, parse_kind, parse_verdict
from leadscore.feedback_page import PAGE_HEADERS, asking_page, refusing_page, thanking_page
from leadscore.proxying import Answer, ProxyRequest, answer_failure, answer_json, answer_text, refuse
from leadscore.usecases.alert_records import AlertRecord
from leadscore.usecases.feedback import (
    FeedbackTools,
    UnknownAlertError,
    apply_verdict,
    open_by_name,
    open_by_token,
)
from leadscore.usecases.queries import InvalidQueryError
from leadscore.usecases.retrying import ContentionError

# A verdict with its reason and a lead's id, each character of them escaped.
_BODY_BYTES = 8192
# Who said it, where the link is all that is known of them.
_BY_LINK = "link"
_NO_LINK = "This link leads nowhere: the alert is too old, or the link was cut. Open the alert and try again."

settings = FeedbackSettings.from_env()
logger = Logger()
client = dynamodb_client()
places: Any = {"shards": settings.rank_shards, "retention_days": settings.event_retention_days}
tools = FeedbackTools(
    desks=DynamoDesks(client, settings.table_name, **places),
    reader=DynamoReader(client, settings.table_name, **places),
    people=DynamoGraves(client, settings.table_name, pause),
    pause=pause,
)


class _Link(NamedTuple):
    """A verdict that a link says, and of whom."""

    kind: VerdictKind
    alert: AlertRecord
    leads: Sequence[str]


def put_verdict(request: ProxyRequest) -> Answer:
    """Write down what the body says, and answer it."""
    request.query_of(())
    said = _json_object(request)
    lead = _pop_lead(said)
    verdict = parse_verdict(said, from_datetime(utc_now()), request.caller)
    try:
        alert, leads = open_by_name(tools, request.name, lead)
    except UnknownAlertError:
        return refuse(HTTPStatus.NOT_FOUND, "unknown_alert", "no such alert, or it is not about that lead")
    judged = apply_verdict(tools, alert, leads, verdict)
    return answer_json(HTTPStatus.OK, judged.to_dict())


def get_page(request: ProxyRequest) -> Answer:
    """Answer the page that asks."""
    link = _follow(request)
    return _leads_nowhere() if link is None else _page(HTTPStatus.OK, asking_page(link.kind))


def post_page(request: ProxyRequest) -> Answer:
    """Write down what the link says, with the reason of the form, and thank."""
    link = _follow(request)
    if link is None:
        return _leads_nowhere()
    try:
        form = parse_qs(request.text(_BODY_BYTES), max_num_fields=10)
        said = {"verdict": link.kind, "reason": form.get("reason", [""])[0]}
        verdict = parse_verdict(said, from_datetime(utc_now()), _BY_LINK)
    except ValueError:
        return _page(HTTPStatus.BAD_REQUEST, refusing_page("The reason must be one line, and a short one."))
    apply_verdict(tools, link.alert, link.leads, verdict)
    return _page(HTTPStatus.OK, thanking_page(link.kind))


ROUTES: Mapping[str, Callable[[ProxyRequest], Answer]] = {
    "PUT /alerts/{id}/verdict": put_verdict,
    "GET /alerts/{id}/verdict": get_page,
    "POST /alerts/{id}/verdict": post_page,
}


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> Answer:
    """Answer one request."""
    request = ProxyRequest.from_proxy(event)
    try:
        return ROUTES[request.route](request)
    except InvalidQueryError as error:
        return refuse(HTTPStatus.BAD_REQUEST, "invalid_query", str(error))
    except InvalidVerdictError as error:
        return refuse(HTTPStatus.BAD_REQUEST, "invalid_verdict", str(error))
    except ContentionError:
        message = "alerts on these leads are being written all the time: send the request again"
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "contended", message)
    except Exception:
        # Logged with its traceback, and named by the request's id alone.
        logger.exception("a verdict was not written down")
        return answer_failure(request)


def _pop_lead(said: dict[str, object]) -> str | None:
    """Take out of what was said of whom it is said, None where it is of all in the alert."""
    if "lead" not in said:
        return None
    lead = said.pop("lead")
    if not isinstance(lead, str):
        raise InvalidVerdictError("lead: must be the id of a lead")
    return lead


def _json_object(request: ProxyRequest) -> dict[str, object]:
    try:
        said = json.loads(request.text(_BODY_BYTES))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise InvalidVerdictError(f"the body must be a JSON object of at most {_BODY_BYTES} bytes")
    return said


def _follow(request: ProxyRequest) -> _Link | None:
    """Return what a link says, None where it is no link of an alert."""
    try:
        query = request.query_of(("v", "lead", "t"))
        kind = parse_kind(query.get("v"))
        return _Link(kind, *open_by_token(tools.desks, request.name, query.get("lead"), query.get("t", "")))
    except (InvalidQueryError, InvalidVerdictError, UnknownAlertError):
        return None


def _leads_nowhere() -> Answer:
    return _page(HTTPStatus.NOT_FOUND, refusing_page(_NO_LINK))


def _page(status: HTTPStatus, text: str) -> Answer:
    return answer_text(status, text, "text/html; charset=utf-8", PAGE_HEADERS)
