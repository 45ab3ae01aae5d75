"""ingest: one request of an SDK becomes messages on the events queue.

Trigger: REST API, POST on the paths of Segment's and RudderStack's SDKs, GET of the settings that they start with, and
whatever the API has no other route for, which is refused.
Result: 200 once SQS has every good event. When SQS fails the answer is 503, and SDKs send all of it again under the
same message ids. No body, identity or key is logged.
"""

from __future__ import annotations

from traceback import format_tb
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.clients import sqs_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.parameters import CachedParameter
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.adapters.settings import IngestSettings
from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.requests import IngestRequest
from leadscore.ingest.responses import ProxyResponse, answer_document, answer_receipt, answer_refusal
from leadscore.ingest.sdk_documents import find_document
from leadscore.ingest.unrouted import CATCH_ALL, refuse_unrouted
from leadscore.ingest.write_keys import WriteKeys
from leadscore.usecases.ingesting import Receipt, ingest_events

# A revoked key must be refused within a minute.
WRITE_KEYS_TTL_SECONDS = 30

settings = IngestSettings.from_env()
logger = Logger()
metrics = Metrics()
queue = SqsQueue(sqs_client(), settings.events_queue_url)
write_keys = CachedParameter(
    ssm_client(),
    settings.write_keys_parameter,
    parse=WriteKeys.parse,
    ttl_seconds=WRITE_KEYS_TTL_SECONDS,
    clock=utc_now,
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> ProxyResponse:
    """Answer one request."""
    try:
        if event["resource"] in CATCH_ALL:
            return _refuse(refuse_unrouted(event["httpMethod"], event["path"]))
        return _answer(IngestRequest.from_proxy(event))
    except RequestRefusedError as refusal:
        return _refuse(refusal)
    except QueueError:
        logger.exception("the queue did not take the events")
        return _refuse(RequestRefusedError(503, "unavailable", "the events could not be queued: send them again"))
    except Exception as error:  # noqa: BLE001
        # Without its text: that of an error which nobody foresaw may quote what was sent.
        logger.error("a request failed", error=type(error).__name__, stack=format_tb(error.__traceback__))  # noqa: TRY400
        message = f"the request {context.aws_request_id} failed; its log entry says why"
        return _refuse(RequestRefusedError(500, "internal_error", message))


def _answer(request: IngestRequest) -> ProxyResponse:
    document = find_document(request)
    if document is not None:
        metrics.add_metric("DocumentsServed", "Count", 1)
        return answer_document(document, head=request.method == "HEAD")
    return _accept(ingest_events(request, write_keys=_current_keys(), queue=queue, received_at=utc_now()))


def _current_keys() -> WriteKeys:
    try:
        return write_keys.value()
    except Exception:
        logger.exception("the write keys cannot be read")
        raise


def _accept(receipt: Receipt) -> ProxyResponse:
    metrics.add_dimension("source", receipt.source)
    metrics.add_metric("EventsAccepted", "Count", receipt.accepted)
    metrics.add_metric("EventsRejected", "Count", len(receipt.rejected))
    if receipt.rejected:
        logger.warning("events were rejected", codes=sorted({rejected.code for rejected in receipt.rejected}))
    return answer_receipt(receipt)


def _refuse(refusal: RequestRefusedError) -> ProxyResponse:
    """Count a request of which nothing was taken by its reason, and by its source where a key told that."""
    metrics.add_dimension("code", refusal.code)
    if refusal.source is not None:
        metrics.add_dimensions(service=metrics.service, source=refusal.source)
    metrics.add_metric("RequestsRefused", "Count", 1)
    return answer_refusal(refusal)
