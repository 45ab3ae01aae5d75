"""publish: a ruleset becomes the active one in one step, or an earlier one does again; its history is told.

Trigger: REST API, the routes of `ROUTES`, all signed. A publication that fails in the middle leaves the ruleset that
was active, or the new one, and never a mixture; sending the same request again completes it. Then the re-score of all
leads is started: it holds back alerts to people, since the ruleset changed and not the leads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore import InvalidRuleset
from leadscore.adapters.clients import dynamodb_client, ssm_client, states_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.publications import DynamoLedger
from leadscore.adapters.rescoring import RebuildMachine
from leadscore.adapters.ruleset_shelf import SsmShelf
from leadscore.adapters.settings import PublishSettings
from leadscore.proxying import Answer, ProxyRequest, answer_failure, answer_json, refuse, refuse_ruleset
from leadscore.usecases.lead_queries import UnknownRulesetError
from leadscore.usecases.publish_requests import InvalidRequestError, parse_publication, parse_rollback, read_body
from leadscore.usecases.publishing import (
    AnotherPublishedError,
    Publisher,
    Receipt,
    UnderWayError,
    parse_history_query,
    publish,
    read_history,
    roll_back,
)
from leadscore.usecases.queries import InvalidQueryError

settings = PublishSettings.from_env()
logger = Logger()
ssm = ssm_client()
publisher = Publisher(
    shelf=SsmShelf(ssm, settings.ruleset_parameter),
    ledger=DynamoLedger(dynamodb_client(), settings.table_name),
    rescore=RebuildMachine(states_client(), settings.rebuild_machine_arn),
    clock=utc_now,
    settling=timedelta(seconds=settings.settling_seconds),
)


def put_ruleset(request: ProxyRequest) -> Answer:
    """Publish the document of the body."""
    request.query_of(())
    said = parse_publication(read_body(request.text))
    return _answer(publish(publisher, said.ruleset.document, said.intent(request.caller)))


def post_rollback(request: ProxyRequest) -> Answer:
    """Publish an earlier ruleset again."""
    request.query_of(())
    said = parse_rollback(read_body(request.text))
    return _answer(roll_back(publisher, said.version, said.intent(request.caller)))


def get_history(request: ProxyRequest) -> Answer:
    """Answer a page of the publications, newest first."""
    return answer_json(HTTPStatus.OK, read_history(publisher, parse_history_query(request.query)).to_dict())


ROUTES: Mapping[str, Callable[[ProxyRequest], Answer]] = {
    "PUT /ruleset": put_ruleset,
    "GET /ruleset/history": get_history,
    "POST /ruleset/rollback": post_rollback,
}


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
    except UnknownRulesetError as error:
        return refuse(HTTPStatus.NOT_FOUND, "unknown_ruleset", str(error))
    except AnotherPublishedError as error:
        return refuse(HTTPStatus.CONFLICT, "another_published", str(error), active=error.active)
    except UnderWayError as error:
        return refuse(HTTPStatus.CONFLICT, "under_way", str(error))
    except Exception:
        # Logged with its traceback, and named by the request's id alone.
        logger.exception("a ruleset was not published, or its history not read")
        return answer_failure(request)


def _answer(receipt: Receipt) -> Answer:
    return answer_json(HTTPStatus.OK, receipt.to_dict())
