"""importer: objects of an archive in S3 become messages on the events queue, marked as imported.

Trigger: the import's state machine with some objects of the bucket, and then with what came back until that is done.
Result: what is left, and what became of the lines. A line that is bad or an object that cannot be read is logged by
its number, code and reason, the first hundred of a call, and stops no other; a call that fails may be made again.
Nothing that a line held is logged.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from leadscore.adapters.clients import s3_client, sqs_client
from leadscore.adapters.clock import Pace, utc_now
from leadscore.adapters.objects import S3Archive
from leadscore.adapters.queues import SqsQueue
from leadscore.adapters.settings import ImporterSettings
from leadscore.core.instants import DAY, from_datetime
from leadscore.usecases.importing import Importer, Limits, ObjectsToImport, batch_size, work_on_objects

settings = ImporterSettings.from_env()
logger = Logger()
metrics = Metrics()
archive = S3Archive(s3_client(), settings.import_bucket)
queue = SqsQueue(sqs_client(), settings.events_queue_url)
importer = Importer(
    queue=queue,
    clock=lambda: from_datetime(utc_now()),
    retention=settings.event_retention_days * DAY,
    pace=Pace(settings.events_per_second).wait,
    at_once=batch_size(settings.events_per_second),
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, object]:
    """Import objects until the time is up; answer with what is left."""
    before, until = ObjectsToImport.from_dict(event), utc_now() + timedelta(seconds=settings.work_seconds)
    limits = Limits(
        is_time_up=lambda: utc_now() >= until,
        is_queue_full=lambda: queue.count_waiting() > settings.most_queued,
    )
    left, told = work_on_objects(importer, archive, before, limits)
    for key, each in told:
        logger.warning("a line was not imported", object=key, line=each.line, code=each.code, reason=each.message)
    metrics.add_metric("EventsImported", "Count", left.counts.accepted - before.counts.accepted)
    metrics.add_metric("EventsExpired", "Count", left.counts.expired - before.counts.expired)
    metrics.add_metric("LinesRejected", "Count", left.counts.all_rejected - before.counts.all_rejected)
    return left.to_dict()
