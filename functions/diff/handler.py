"""diff: what another ruleset would make of a sample of the stored leads, before it is published.

Trigger: REST API, the routes of `ROUTES`, all signed. It writes nothing; its role may read alone. A sample is as many
leads as were asked for, or as many as the time is enough for: the answer says how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore import InvalidRuleset
from leadscore.adapters.clients import dynamodb_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.histories import DynamoHistories
from leadscore.adapters.rulesets import read_ruleset
from leadscore.adapters.settings import DiffSettings
from leadscore.core.instants import DAY, format_instant, from_datetime
from leadscore.proxying import Answer, ProxyRequest, answer_failure, answer_json, refuse, refuse_ruleset
from leadscore.usecases.dry_run import Comparing, count_sent, run_sample, since_of
from leadscore.usecases.publish_requests import InvalidRequestError, parse_dry_run, read_body
from leadscore.usecases.queries import InvalidQueryError

_ITEMS_PER_PAGE = 100
# The API waits for 29 seconds.
_SENT_SECONDS, _SAMPLE_SECONDS = 5, 20
# Nothing here writes a desk, so it need not be known over how many partitions those are spread.
_NO_SHARDS = 1

settings = DiffSettings.from_env()
logger = Logger()
ssm = ssm_client()
client = dynamodb_client()
reader = DynamoHistories(client, settings.table_name)
desks = DynamoDesks(client, settings.table_name, shards=_NO_SHARDS, retention_days=settings.event_retention_days)


def post_diff(request: ProxyRequest) -> Answer:
    """Answer what the document of the body would change of the active ruleset, and of a sample of leads."""
    began = utc_now()
    request.query_of(())
    said = parse_dry_run(read_body(request.text))
    old, now = read_ruleset(ssm, settings.ruleset_parameter), from_datetime(began)
    alerts = desks.walk_alerts(format_instant(since_of(now)))
    sent = count_sent(alerts, now, lambda: utc_now() >= began + timedelta(seconds=_SENT_SECONDS))
    comparing = Comparing(old, said.ruleset, now, settings.event_retention_days * DAY, sent)
    until = began + timedelta(seconds=_SAMPLE_SECONDS)
    done = run_sample(reader, comparing, said.sample, _ITEMS_PER_PAGE, lambda: utc_now() >= until, lambda _page: None)
    return answer_json(HTTPStatus.OK, done.to_dict())


ROUTES: Mapping[str, Callable[[ProxyRequest], Answer]] = {"POST /ruleset/diff": post_diff}


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> Answer:
    """Answer one request."""
    request = ProxyRequest.from_proxy(event)
    try:
        return ROUTES[request.route](request)
    except InvalidQueryError as error:
        return refuse(HTTPStatus.BAD_REQUEST, "invalid_query", str(error))
    except InvalidRequestError as error:
        return refuse(HTTPStatus.BAD_REQUEST, "invalid_request", str(error))
    except InvalidRuleset as error:
        return refuse_ruleset(error)
    except Exception:
        # Logged with its traceback, and named by the request's id alone.
        logger.exception("a ruleset was not compared")
        return answer_failure(request)
