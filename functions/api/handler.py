"""api: reads for people and tools, behind IAM; every error is JSON with `code` and `message`.

Trigger: REST API, `GET /leads`, `GET /leads/{id}` and `GET /leads/{id}/export`. It writes nothing.
A read of the list hands on the leads that it met out of place, so that `score` gives them their true keys; where that
fails it is logged and the read is answered all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore import parse_ruleset
from leadscore.adapters.clients import dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.parameters import CachedParameter, published_values
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.adapters.settings import ApiSettings
from leadscore.core.identity import Identity
from leadscore.security_headers import SECURITY_HEADERS
from leadscore.usecases.exporting import export_lead
from leadscore.usecases.lead_queries import LeadQuery, UnknownRulesetError, find_ruleset, parse_lead_query
from leadscore.usecases.queries import InvalidQueryError, parse_format, parse_leads_query
from leadscore.usecases.ranking import Page, TooManyLeadsError, move_in_passing, rank_leads
from leadscore.usecases.recalling import recall_lead
from leadscore.usecases.spreadsheet import write_csv
from leadscore.usecases.standing import read_lead

_HEADERS = {**SECURITY_HEADERS, "Cache-Control": "no-store"}

settings = ApiSettings.from_env()
logger = Logger()
reader = DynamoReader(
    dynamodb_client(),
    settings.table_name,
    shards=settings.rank_shards,
    retention_days=settings.event_retention_days,
)
ssm = ssm_client()
ruleset = CachedParameter(
    ssm,
    settings.ruleset_parameter,
    parse=parse_ruleset,
    ttl_seconds=settings.ruleset_ttl_seconds,
    clock=utc_now,
)
app = APIGatewayRestResolver()


@app.get("/leads")
def get_leads() -> Response[str]:
    """Answer a page of the ranked list, as JSON or CSV."""
    rules, asked = ruleset.value(), app.current_event.query_string_parameters or {}
    query, wanted = parse_leads_query(asked, rules), parse_format(asked, app.current_event.headers.get("Accept", ""))
    page = rank_leads(reader, rules, query, utc_now())
    _hand_on(page.loose)
    return _answer_csv(page) if wanted == "csv" else _answer(HTTPStatus.OK, page.to_dict())


@app.get("/leads/<lead>")
def get_lead(lead: str) -> Response[str]:
    """Answer one lead with its score, factors and newest events, as of now or of the instant that is asked for."""
    now, rules, name = utc_now(), ruleset.value(), unquote(lead)
    query = parse_lead_query(app.current_event.query_string_parameters or {}, now)
    if query.ruleset is not None:
        rules = find_ruleset(rules, query.ruleset, lambda: published_values(ssm, settings.ruleset_parameter))
    is_usual = query == LeadQuery()
    view = read_lead(reader, rules, name, now) if is_usual else recall_lead(reader, rules, name, query.at or now, now)
    if view is None:
        return _answer(HTTPStatus.NOT_FOUND, {"code": "unknown_lead", "message": "no such lead"})
    return _answer(HTTPStatus.OK, view.to_dict())


@app.get("/leads/<lead>/export")
def get_export(lead: str) -> Response[str]:
    """Answer a page of all that is held about one lead, as lines of JSON."""
    cursor = (app.current_event.query_string_parameters or {}).get("cursor")
    page = export_lead(reader, ruleset.value(), unquote(lead), utc_now(), cursor)
    if page is None:
        return _answer(HTTPStatus.NOT_FOUND, {"code": "unknown_lead", "message": "no such lead"})
    return Response(HTTPStatus.OK, "application/x-ndjson", page, headers=_HEADERS)


@app.exception_handler(InvalidQueryError)  # type: ignore[untyped-decorator]
def refuse_query(error: InvalidQueryError) -> Response[str]:
    """Answer a query that cannot be answered."""
    return _answer(HTTPStatus.BAD_REQUEST, {"code": "invalid_query", "message": str(error)})


@app.exception_handler(UnknownRulesetError)  # type: ignore[untyped-decorator]
def refuse_ruleset(error: UnknownRulesetError) -> Response[str]:
    """Answer a query under a ruleset that there never was."""
    return _answer(HTTPStatus.NOT_FOUND, {"code": "unknown_ruleset", "message": str(error)})


@app.exception_handler(TooManyLeadsError)  # type: ignore[untyped-decorator]
def refuse_long_read(error: TooManyLeadsError) -> Response[str]:
    """Answer a query that one request has no time for."""
    _hand_on(error.loose)
    return _answer(HTTPStatus.BAD_REQUEST, {"code": "too_many_leads", "message": str(error)})


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def report_failure(_error: Exception) -> Response[str]:
    """Answer our own failure: logged with its traceback, and named by the request's id alone."""
    logger.exception("a read failed")
    request = app.current_event.request_context.request_id
    message = f"the request {request} failed; its log entry says why"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"code": "internal_error", "message": message})


def _answer(status: HTTPStatus, content: dict[str, object]) -> Response[str]:
    return Response(status, "application/json", json.dumps(content), headers=_HEADERS)


def _answer_csv(page: Page) -> Response[str]:
    headers = {**_HEADERS, **({"Next-Cursor": page.next_cursor} if page.next_cursor else {})}
    return Response(HTTPStatus.OK, "text/csv; charset=utf-8", write_csv(page.to_rows()), headers=headers)


@cache
def _events_queue() -> SqsQueue:
    """Made when it is first needed: few reads meet anything out of place, and a cold start pays for every client."""
    return SqsQueue(sqs_client(), settings.events_queue_url)


def _hand_on(misplaced: Sequence[Identity]) -> None:
    try:
        if misplaced:
            move_in_passing(_events_queue(), misplaced)
    except QueueError:
        logger.warning("leads that are out of place were not handed on", exc_info=True)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return app.resolve(event, context)
