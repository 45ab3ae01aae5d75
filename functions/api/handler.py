"""api: reads for people and tools, behind IAM or Cognito; every error is JSON with `code` and `message`.

Trigger: REST API, the routes of `ROUTES`. It writes nothing. `GET /health` and `GET /openapi.json` are open to
everybody, and tell nothing of any lead. A read of a list hands on what it met out of place, so that `score` gives it
its true key; where that fails it is logged and the read is answered all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from leadscore.adapters.calibrations import CachedCalibration
from leadscore.adapters.clients import dynamodb_client, sqs_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.adapters.rulesets import cached_ruleset, published_documents
from leadscore.adapters.settings import ApiSettings
from leadscore.core.identity import USER, identity_of
from leadscore.core.ruleset import Ruleset
from leadscore.normalising import MAX_ID_CHARACTERS
from leadscore.proxying import Answer, ProxyRequest, answer_failure, answer_json, answer_tagged, answer_text, refuse
from leadscore.usecases.account_queries import parse_accounts_query
from leadscore.usecases.account_ranking import TooManyAccountsError, rank_accounts, rate_in_passing
from leadscore.usecases.account_views import read_account
from leadscore.usecases.chances import Chances, judge_calibration
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
client = dynamodb_client()
reader = DynamoReader(
    client,
    settings.table_name,
    shards=settings.rank_shards,
    retention_days=settings.event_retention_days,
)
ssm = ssm_client()
ruleset = cached_ruleset(ssm, settings.ruleset_parameter, ttl_seconds=settings.ruleset_ttl_seconds, clock=utc_now)
calibration = CachedCalibration(
    client,
    settings.table_name,
    ttl_seconds=settings.ruleset_ttl_seconds,
    clock=utc_now,
    report=logger.exception,
)


def get_leads(request: ProxyRequest) -> Answer:
    """Answer a page of the ranked list, as JSON or CSV."""
    rules, asked = ruleset.value(), request.query
    query, wanted = parse_leads_query(asked, rules), parse_format(asked, request.headers.get("accept", ""))
    now = utc_now()
    page = rank_leads(reader, rules, query, now, _chances(rules, now))
    _hand_on(move_in_passing, page.loose)
    return _answer_csv(page) if wanted == "csv" else answer_json(HTTPStatus.OK, page.to_dict())


def get_lead(request: ProxyRequest) -> Answer:
    """Answer one lead with its score, factors and timeline, as of now or of the instant that is asked for."""
    now, rules = utc_now(), ruleset.value()
    query = parse_lead_query(request.query, now)
    if query.ruleset is not None:
        rules = find_ruleset(rules, query.ruleset, partial(_published, query.ruleset))
    if query.at is None and query.ruleset is None:
        view = read_lead(reader, rules, request.name, now, query.timeline, _chances(rules, now))
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


def get_insights(request: ProxyRequest) -> Answer:
    """Answer what each criterion was worth, under the run that found it as the entity tag."""
    request.query_of(())
    # Imported where it is needed: few ask for it, and a cold start pays for all.
    from leadscore.adapters.learning_items import DynamoInsights

    insights = DynamoInsights(client, settings.table_name).load()
    if insights is None:
        return refuse(HTTPStatus.NOT_FOUND, "no_insights", "nothing was learned yet: `leadscore insights --refresh`")
    return answer_tagged(request, json.dumps(insights), insights["run"], _WHILE_SAME)


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
    "GET /insights": get_insights,
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
        return answer_failure(request)


def _published(version: str) -> Iterable[str]:
    """Return what may be the document of a version: those in the ledger, and those the parameter itself has held."""
    # Made when it is first needed: few reads are under another ruleset, and a cold start pays for every import.
    from leadscore.adapters.publications import DynamoLedger

    kept = DynamoLedger(client, settings.table_name).find_documents(version)
    return [*kept, *published_documents(ssm, settings.ruleset_parameter)]


def _unknown_lead() -> Answer:
    return refuse(HTTPStatus.NOT_FOUND, "unknown_lead", "no such lead")


def _answer_csv(page: Page) -> Answer:
    headers = {"Next-Cursor": page.next_cursor} if page.next_cursor else {}
    text = write_csv(page.to_rows(), page.calibration)
    return answer_text(HTTPStatus.OK, text, "text/csv; charset=utf-8", headers)


def _chances(rules: Ruleset, now: datetime) -> Chances:
    return judge_calibration(calibration.value(), rules.version, now)


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
