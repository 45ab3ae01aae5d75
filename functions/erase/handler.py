"""erase: a person is erased for good, behind IAM; the answer is a receipt of what was removed.

Trigger: REST API, `DELETE /leads/{id}`. Result: the lead is gone, and a sweep on the `events` queue deletes later what
others were writing meanwhile. A request that fails may be sent again: what was erased before is erased once. No id is
logged.
"""

from __future__ import annotations

import json
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.clients import dynamodb_client, sqs_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.queues import SqsQueue
from leadscore.adapters.settings import EraseSettings
from leadscore.core.instants import from_datetime
from leadscore.security_headers import SECURITY_HEADERS
from leadscore.usecases.erasing import erase_lead
from leadscore.usecases.records import Grave
from leadscore.usecases.retrying import ContentionError

_HEADERS = {**SECURITY_HEADERS, "Cache-Control": "no-store"}

settings = EraseSettings.from_env()
logger = Logger()
metrics = Metrics()
client = dynamodb_client()
reader = DynamoReader(
    client, settings.table_name, shards=settings.rank_shards, retention_days=settings.event_retention_days
)
graves = DynamoGraves(client, settings.table_name, pause)
sweeps = SqsQueue(sqs_client(), settings.events_queue_url, delay_seconds=settings.sweep_delay_seconds)
app = APIGatewayRestResolver()


@app.delete("/leads/<lead>")
def delete_lead(lead: str) -> Response[str]:
    """Answer with the receipt."""
    now = utc_now()
    kept_out_until = now + timedelta(days=settings.tombstone_retention_days)
    grave = Grave(from_datetime(now), from_datetime(kept_out_until))
    receipt = erase_lead(reader, graves, sweeps, unquote(lead), grave, pause)
    metrics.add_metric("IdentitiesErased", "Count", 0 if receipt is None else receipt.identities)
    if receipt is None:
        return _answer(HTTPStatus.NOT_FOUND, {"code": "unknown_lead", "message": "no such lead"})
    return _answer(HTTPStatus.OK, receipt.to_dict())


@app.exception_handler(ContentionError)  # type: ignore[untyped-decorator]
def report_contention(_error: ContentionError) -> Response[str]:
    """Answer that events of the lead came in faster than it could be erased."""
    metrics.add_metric("ErasuresFailed", "Count", 1)
    message = "the lead is being written all the time: send the request again"
    return _answer(HTTPStatus.SERVICE_UNAVAILABLE, {"code": "contended", "message": message})


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def report_failure(_error: Exception) -> Response[str]:
    """Answer our own failure: logged with its traceback, and named by the request's id alone."""
    logger.exception("an erasure failed")
    metrics.add_metric("ErasuresFailed", "Count", 1)
    request = app.current_event.request_context.request_id
    message = f"the request {request} failed and may be sent again; its log entry says why"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"code": "internal_error", "message": message})


def _answer(status: HTTPStatus, content: dict[str, object]) -> Response[str]:
    return Response(status, "application/json", json.dumps(content), headers=_HEADERS)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return app.resolve(event, context)
