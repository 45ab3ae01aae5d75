"""api: reads for people and tools, behind IAM; every answer is JSON, every error has `code` and `message`.

Trigger: REST API, `GET /leads` and `GET /leads/{id}`. It writes nothing.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore import parse_ruleset
from leadscore.adapters.clients import dynamodb_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.parameters import CachedParameter
from leadscore.adapters.settings import ApiSettings
from leadscore.usecases.queries import InvalidQueryError, parse_leads_query
from leadscore.usecases.ranking import rank_leads
from leadscore.usecases.standing import read_lead

settings = ApiSettings.from_env()
logger = Logger()
reader = DynamoReader(dynamodb_client(), settings.table_name, rank_shards=settings.rank_shards)
ruleset = CachedParameter(
    ssm_client(),
    settings.ruleset_parameter,
    parse=parse_ruleset,
    ttl_seconds=settings.ruleset_ttl_seconds,
    clock=utc_now,
)
app = APIGatewayRestResolver()


@app.get("/leads")
def get_leads() -> Response[str]:
    """Answer a page of the ranked list."""
    rules = ruleset.value()
    query = parse_leads_query(app.current_event.query_string_parameters or {}, rules)
    return _answer(HTTPStatus.OK, rank_leads(reader, rules, query, utc_now()).to_dict())


@app.get("/leads/<lead>")
def get_lead(lead: str) -> Response[str]:
    """Answer one lead with its score, factors and newest events."""
    view = read_lead(reader, ruleset.value(), unquote(lead), utc_now())
    if view is None:
        return _answer(HTTPStatus.NOT_FOUND, {"code": "unknown_lead", "message": "no such lead"})
    return _answer(HTTPStatus.OK, view.to_dict())


@app.exception_handler(InvalidQueryError)  # type: ignore[untyped-decorator]
def refuse_query(error: InvalidQueryError) -> Response[str]:
    """Answer a query that cannot be answered."""
    return _answer(HTTPStatus.BAD_REQUEST, {"code": "invalid_query", "message": str(error)})


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def report_failure(_error: Exception) -> Response[str]:
    """Answer our own failure: logged with its traceback, and named by the request's id alone."""
    logger.exception("a read failed")
    request = app.current_event.request_context.request_id
    message = f"the request {request} failed; its log entry says why"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"code": "internal_error", "message": message})


def _answer(status: HTTPStatus, content: dict[str, object]) -> Response[str]:
    return Response(status, "application/json", json.dumps(content), headers={"Cache-Control": "no-store"})


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return app.resolve(event, context)
