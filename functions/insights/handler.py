"""insights: what each criterion was worth is learned from the whole log, a segment of the table at a time.

Trigger: the insights' state machine: with `{"segment": 0, "segments": 8, ...}`, and then with what came back as `next`
until that is done; at last with `{"conclude": [...]}`, all segments as they ended. Result: samples, and of them the
insights and the calibration that readers get, and `TierRateMoved` on the bus. A call that fails may be made again: it
replaces what it took, and tells the bus the same under the same ids. Neither the log nor an answer names a person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger

from leadscore.adapters.clients import bus_client, dynamodb_client, ssm_client
from leadscore.adapters.clock import utc_now
from leadscore.adapters.histories import DynamoHistories
from leadscore.adapters.learning_items import DynamoInsights
from leadscore.adapters.rulesets import cached_ruleset
from leadscore.adapters.settings import InsightsSettings
from leadscore.adapters.topics import ChangeBus
from leadscore.core.instants import DAY
from leadscore.usecases.learning import SampledSegment, conclude_run, take_samples

settings = InsightsSettings.from_env()
logger = Logger()
client = dynamodb_client()
reader = DynamoHistories(client, settings.table_name)
store = DynamoInsights(client, settings.table_name)
retention = settings.event_retention_days * DAY
bus = ChangeBus(bus_client(), settings.bus_name)
# Not kept for a moment: all calls of a run must see the same one.
ruleset = cached_ruleset(ssm_client(), settings.ruleset_parameter, ttl_seconds=0, clock=utc_now)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, object]:
    """Sample a part of a segment, or conclude a run."""
    rules = ruleset.value()
    if "conclude" in event:
        insights = conclude_run(store, bus, rules, list(map(SampledSegment.from_dict, event["conclude"])), retention)
        moved = [tier["tier"] for tier in insights["tiers"] if tier["moved_from"] is not None]
        return {
            "run": insights["run"],
            "leads": insights["leads"],
            "conversions": insights["conversions"],
            "moved": moved,
        }
    before, until = SampledSegment.from_dict(event), utc_now() + timedelta(seconds=settings.work_seconds)
    after = take_samples(reader, store, rules, before, lambda: utc_now() >= until, retention)
    return {"next": after.to_dict()}
