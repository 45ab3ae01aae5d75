"""erase: a person is erased for good, behind IAM; the answer is a receipt of what was removed.

Trigger: REST API, `DELETE /leads/{id}`. Result: the lead is gone, and a sweep on the `events` queue deletes later what
others were writing meanwhile. A request that fails may be sent again: what was erased before is erased once. No id is
logged.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.clients import dynamodb_client, sqs_client
from leadscore.adapters.clock import pause, utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.queues import SqsQueue
from leadscore.adapters.settings import EraseSettings
from leadscore.core.instants import from_datetime
from leadscore.proxying import Answer, ProxyRequest, answer_failure, answer_json, refuse
from leadscore.usecases.erasing import erase_lead
from leadscore.usecases.queries import InvalidQueryError
from leadscore.usecases.records import Grave
from leadscore.usecases.retrying import ContentionError

settings = EraseSettings.from_env()
logger = Logger()
metrics = Metrics()
client = dynamodb_client()
reader = DynamoReader(
    client, settings.table_name, shards=settings.rank_shards, retention_days=settings.event_retention_days
)
graves = DynamoGraves(client, settings.table_name, pause)
sweeps = SqsQueue(sqs_client(), settings.events_queue_url, delay_seconds=settings.sweep_delay_seconds)


def delete_lead(request: ProxyRequest) -> Answer:
    """Answer with the receipt."""
    # Whoever asks for anything that is not there must not find the person gone.
    request.query_of(())
    now = utc_now()
    kept_out_until = now + timedelta(days=settings.tombstone_retention_days)
    grave = Grave(from_datetime(now), from_datetime(kept_out_until))
    receipt = erase_lead(reader, graves, sweeps, request.name, grave, pause)
    metrics.add_metric("IdentitiesErased", "Count", 0 if receipt is None else receipt.identities)
    if receipt is None:
        return refuse(HTTPStatus.NOT_FOUND, "unknown_lead", "no such lead")
    return answer_json(HTTPStatus.OK, receipt.to_dict())


ROUTES = {"DELETE /leads/{id}": delete_lead}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> Answer:
    """Answer one request."""
    request = ProxyRequest.from_proxy(event)
    try:
        return ROUTES[request.route](request)
    except InvalidQueryError as error:
        metrics.add_metric("IdentitiesErased", "Count", 0)
        return refuse(HTTPStatus.BAD_REQUEST, "invalid_query", str(error))
    except ContentionError:
        # Events of the lead came in faster than it could be erased.
        metrics.add_metric("ErasuresFailed", "Count", 1)
        message = "the lead is being written all the time: send the request again"
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "contended", message)
    except Exception:
        # Logged with its traceback, and named by the request's id alone.
        logger.exception("an erasure failed")
        metrics.add_metric("ErasuresFailed", "Count", 1)
        return answer_failure(request)
