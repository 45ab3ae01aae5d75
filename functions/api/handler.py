"""api: reads for people and tools, behind IAM or Cognito; every error is JSON with `code` and `message`.

Trigger: REST API, the routes of `ROUTES`. It writes nothing. `GET /health` and `GET /openapi.json` are open to
everybody, and tell nothing of any lead. A read of a list hands on what it met out of place, so that `score` gives it
its true key; where that fails it is logged and the read is answered all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore import parse_ruleset
from leadscore.adapters.clients import dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.parameters import CachedParameter, published_values
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.adapters.settings import ApiSettings
from leadscore.core.identity import USER, identity_of
from leadscore.normalising import MAX_ID_CHARACTERS
from leadscore.proxying import Answer, ProxyRequest, answer_json, answer_tagged, answer_text, refuse
from leadscore.usecases.account_queries import parse_accounts_query
from leadscore.usecases.account_ranking import TooManyAccountsError, rank_accounts, rate_in_passing
from leadscore.usecases.account_views import read_account
from leadscore.usecases.exporting import History, export_lead
from leadscore.usecases.health import check_health
from leadscore.usecases.lead_queries import UnknownRulesetError, find_ruleset, parse_lead_query
from leadscore.usecases.queries import InvalidQueryError, parse_format, parse_leads_query
from leadscore.usecases.ranking import Page, TooManyLeadsError, move_in_passing, rank_leads
from leadscore.usecases.recalling import recall_lead
from leadscore.usecases.spreadsheet import write_csv
from leadscore.usecases.standing import read_lead
from leadscore.usecases.tier_counts import count_tiers

# Of no person, so that whoever signs in may keep it: counts for a moment, the ruleset as long as its tag is the same.
_BRIEFLY, _WHILE_SAME, _FOR_ALL = "private, max-age=30", "private, no-cache", "public, max-age=300"

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


def get_leads(request: ProxyRequest) -> Answer:
    """Answer a page of the ranked list, as JSON or CSV."""
    rules, asked = ruleset.value(), request.query
    query, wanted = parse_leads_query(asked, rules), parse_format(asked, request.headers.get("accept", ""))
    page = rank_leads(reader, rules, query, utc_now())
    _hand_on(move_in_passing, page.loose)
    return _answer_csv(page) if wanted == "csv" else answer_json(HTTPStatus.OK, page.to_dict())


def get_lead(request: ProxyRequest) -> Answer:
    """Answer one lead with its score, factors and timeline, as of now or of the instant that is asked for."""
    now, rules = utc_now(), ruleset.value()
    query = parse_lead_query(request.query, now)
    if query.ruleset is not None:
        rules = find_ruleset(rules, query.ruleset, lambda: published_values(ssm, settings.ruleset_parameter))
    if query.at is None and query.ruleset is None:
        view = read_lead(reader, rules, request.name, now, query.timeline)
    else:
        view = recall_lead(reader, rules, request.name, query.at or now, now, query.timeline)
    return _unknown_lead() if view is None else answer_json(HTTPStatus.OK, view.to_dict())


def get_export(request: ProxyRequest) -> Answer:
    """Answer a page of all that is held about one lead, as lines of JSON."""
    cursor = request.query_of(("cursor",)).get("cursor")
    page = export_lead(reader, _history(), ruleset.value(), request.name, utc_now(), cursor)
    return _unknown_lead() if page is None else answer_text(HTTPStatus.OK, page, "application/x-ndjson")


def get_accounts(request: ProxyRequest) -> Answer:
    """Answer a page of the accounts, ranked."""
    rules = ruleset.value()
    page = rank_accounts(reader, rules, parse_accounts_query(request.query, rules), utc_now())
    _hand_on(rate_in_passing, page.loose)
    return answer_json(HTTPStatus.OK, page.to_dict())


def get_account(request: ProxyRequest) -> Answer:
    """Answer one account with its people."""
    request.query_of(())
    # A longer id was never let in, and is more than the table's key takes.
    is_possible = len(request.name) <= MAX_ID_CHARACTERS
    view = read_account(reader, ruleset.value(), request.name, utc_now()) if is_possible else None
    if view is None:
        return refuse(HTTPStatus.NOT_FOUND, "unknown_account", "no such account")
    return answer_json(HTTPStatus.OK, view.to_dict())


def get_tiers(request: ProxyRequest) -> Answer:
    """Answer the tiers, each with how many leads stand in it."""
    request.query_of(())
    return answer_json(HTTPStatus.OK, count_tiers(reader, ruleset.value(), utc_now()).to_dict(), _BRIEFLY)


def get_ruleset(request: ProxyRequest) -> Answer:
    """Answer the active ruleset, under its version as the entity tag."""
    request.query_of(())
    rules = ruleset.value()
    tiers = [{"name": tier.name, "from": tier.from_} for tier in rules.tiers]
    content = {"version": rules.version, "tiers": tiers, "document": json.loads(rules.document)}
    return answer_tagged(request, json.dumps(content), rules.version, _WHILE_SAME)


def get_health(request: ProxyRequest) -> Answer:
    """Answer whether the table and the ruleset can be read."""
    request.query_of(())
    health = check_health({"table": lambda: reader.load_identities([identity_of(USER, "")]), "ruleset": ruleset.value})
    for name in health.failed:
        logger.error("a check failed", check=name, exc_info=health.checks[name])
    if health.failed:
        message = f"cannot be read: {', '.join(health.failed)}"
        return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "unhealthy", message, **health.to_dict())
    return answer_json(HTTPStatus.OK, health.to_dict())


def get_document(request: ProxyRequest) -> Answer:
    """Answer the OpenAPI document of the whole API."""
    # Imported where it is needed: few ask for it, and a cold start pays for all.
    from leadscore.api_document import document_tag, document_text

    request.query_of(())
    return answer_tagged(request, document_text(), document_tag(), _FOR_ALL)


ROUTES: Mapping[str, Callable[[ProxyRequest], Answer]] = {
    "GET /leads": get_leads,
    "GET /leads/{id}": get_lead,
    "GET /leads/{id}/export": get_export,
    "GET /accounts": get_accounts,
    "GET /accounts/{id}": get_account,
    "GET /tiers": get_tiers,
    "GET /ruleset": get_ruleset,
    "GET /health": get_health,
    "GET /openapi.json": get_document,
}


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> Answer:
    """Answer one request."""
    request = ProxyRequest.from_proxy(event)
    try:
        return ROUTES[request.route](request)
    except InvalidQueryError as error:
        return refuse(HTTPStatus.BAD_REQUEST, "invalid_query", str(error))
    except UnknownRulesetError as error:
        return refuse(HTTPStatus.NOT_FOUND, "unknown_ruleset", str(error))
    except TooManyLeadsError as error:
        _hand_on(move_in_passing, error.loose)
        return refuse(HTTPStatus.BAD_REQUEST, "too_many_leads", str(error))
    except TooManyAccountsError as error:
        _hand_on(rate_in_passing, error.loose)
        return refuse(HTTPStatus.BAD_REQUEST, "too_many_accounts", str(error))
    except Exception:
        # Logged with its traceback, and named by the request's id alone.
        logger.exception("a read failed")
        message = f"the request {request.request_id} failed; its log entry says why"
        return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message)


def _unknown_lead() -> Answer:
    return refuse(HTTPStatus.NOT_FOUND, "unknown_lead", "no such lead")


def _answer_csv(page: Page) -> Answer:
    headers = {"Next-Cursor": page.next_cursor} if page.next_cursor else {}
    return answer_text(HTTPStatus.OK, write_csv(page.to_rows()), "text/csv; charset=utf-8", headers)


@cache
def _history() -> History:
    """Made when it is first needed: few reads are exports, and a cold start pays for every import."""
    from leadscore.adapters.desks import DynamoDesks

    return DynamoDesks(
        dynamodb_client(),
        settings.table_name,
        shards=settings.rank_shards,
        retention_days=settings.event_retention_days,
    )


@cache
def _events_queue() -> SqsQueue:
    """Made when it is first needed: few reads meet anything out of place, and a cold start pays for every client."""
    return SqsQueue(sqs_client(), settings.events_queue_url)


def _hand_on(move: Callable[[SqsQueue, Sequence[str]], None], misplaced: Sequence[str]) -> None:
    try:
        if misplaced:
            move(_events_queue(), misplaced)
    except QueueError:
        logger.warning("what is out of place was not handed on", exc_info=True)
