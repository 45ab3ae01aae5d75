"""Leads by the million for reads of the ranked list: a year of activity with a heavy tail, behind a client that counts.

Every lead follows one of a thousand histories, shifted to where the lead was last active. What a history leaves in the
index is worked out once, by the core: at its last event, and wherever time changes the tier, at which `cool` has the
lead written again. So a lead's place in the index is a look-up, and its item is made when it is read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from zlib import crc32

from leadscore import Score, State, advance, parse_ruleset, score_state
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.items import RANKED_ATTRIBUTES, identity_key, identity_values, shard_key
from leadscore.core.alerting import AlertMemory
from leadscore.core.instants import DAY, Millis, format_instant, from_datetime, to_datetime
from leadscore.usecases.deciding import rank_key
from leadscore.usecases.records import Event, LeadBody, StoredIdentity

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

Item = dict[str, Any]

RULES = parse_ruleset("""
tiers: [{name: hot, from: 50}, {name: warm, from: 25}, {name: cold}]
groups: {fit: {max: 40}, engagement: {max: 100, half_life: 30d}}
criteria:
  - {id: executive, group: fit, traits: {title: [CEO]}, points: 10}
  - {id: company-size, group: fit, traits: {company: {employees: [{numeric: [">=", 100, "<=", 500]}]}}, points: 8}
  - {id: pricing-page, group: engagement, event: {event: [Pricing Viewed]}, points: 15, limit: 2}
  - {id: free-trial, group: engagement, event: {event: [Trial Started]}, points: 20}
  - {id: demo, group: engagement, event: {event: [Demo Requested]}, points: 25}
  - {id: webinar, group: engagement, event: {event: [Webinar Attended]}, points: 5, limit: 3, within: 90d}
  - {id: invited, group: product, event: {event: [Colleague Invited]}, points: 10, within: 14d}
  - {id: unsubscribed, group: engagement, event: {event: [Unsubscribed]}, points: -20}
""")
# What people do, and how often.
KINDS = {
    "Pricing Viewed": 40,
    "Webinar Attended": 20,
    "Colleague Invited": 15,
    "Trial Started": 12,
    "Demo Requested": 8,
    "Unsubscribed": 5,
}
HISTORIES = 1_000
NOW = datetime(2026, 10, 1, tzinfo=UTC)
SHARDS = 8
TABLE = "leads"
# What a page of a query holds: docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html.
PAGE_BYTES = 1024 * 1024
_ORIGIN: Millis = 0


class Standing(NamedTuple):
    """What the index says of a lead from `since` on; times are counted from the lead's last event."""

    since: Millis
    key: int
    tier: str
    due: Millis | None


class History:
    """What somebody did, how long before the last of it, and what that leaves in the index as time goes by."""

    def __init__(self, random: Random) -> None:
        # Most people do little, some a lot.
        number = min(int(random.paretovariate(1.1)), 100)
        kinds = random.choices(list(KINDS), list(KINDS.values()), k=number)
        self._done = [(int(180 * DAY * random.random() ** 3) if place else 0, kind) for place, kind in enumerate(kinds)]
        company = {"name": "Acme", "employees": random.choice((5, 20, 300, 3000))}
        traits = {"name": "Somebody", "title": random.choice(("CEO", "Engineer", "Designer")), "company": company}
        self._traits = traits if random.random() < 0.3 else None
        self.standings = list(self._stand())

    def state(self, last: Millis) -> State:
        """Return what this history comes to where its last event was at `last`."""
        return advance(State.empty(RULES), self._events(last))

    def _events(self, last: Millis) -> Iterator[Event]:
        for number, (age, kind) in enumerate(self._done):
            said = {"messageId": f"message-{number}", "timestamp": format_instant(last - age), "userId": "somebody"}
            yield {**said, "type": "track", "event": kind}
            if number == 0 and self._traits is not None:
                yield {**said, "messageId": "identify", "type": "identify", "traits": self._traits}

    def _stand(self) -> Iterator[Standing]:
        state, at = self.state(_ORIGIN), _ORIGIN
        while True:
            standing = stand(score_state(state, to_datetime(at)), _ORIGIN)
            yield standing
            if standing.due is None:
                return
            at = standing.due


def stand(score: Score, last: Millis) -> Standing:
    """Return what the index says of a lead that is written as of this score."""
    due = None if score.next_change_at is None else from_datetime(score.next_change_at) - last
    return Standing(from_datetime(score.at) - last, rank_key(score.ceiling), score.tier, due)


@cache
def make_histories(seed: int) -> list[History]:
    random = Random(seed)
    return [History(random) for _ in range(HISTORIES)]


@dataclass(slots=True)
class Counts:
    """What reads cost: pages of the index, entries on them, requests for items, items, and DynamoDB's read units."""

    pages: int = 0
    entries: int = 0
    requests: int = 0
    items: int = 0
    units: float = 0.0


class Population:
    """`count` leads in the table as of `NOW`, as far as the ranked list reads it: a DynamoDB client that counts.

    Unless `cooled`, time alone has never had a lead written: each stands in the index as its last event left it.
    """

    def __init__(self, count: int, *, cooled: bool = True, shards: int = SHARDS, seed: int = 1) -> None:
        random = Random(seed)
        self._counts = Counts()
        self._cooled = cooled
        self._shards = shards
        self._histories = make_histories(seed)
        self._followed = [random.randrange(HISTORIES) for _ in range(count)]
        # Within the year, and one in 68 within the last day.
        self._ages = [int(365 * DAY * random.random() ** 1.4) for _ in range(count)]
        self._refreshed: dict[int, Standing] = {}
        self._named: dict[str, int] = {}
        self._index: dict[str, list[str]] = {shard_key(shard): [] for shard in range(shards)}
        for lead in range(count):
            self._shard(lead).append(self._rank_key(lead))
        for entries in self._index.values():
            entries.sort()

    def reader(self) -> DynamoReader:
        return DynamoReader(cast("DynamoDBClient", self), TABLE, shards=self._shards, retention_days=400)

    def take_counts(self) -> Counts:
        """Return what was counted since the last time."""
        counts, self._counts = self._counts, Counts()
        return counts

    def score(self, lead: int) -> Score:
        return score_state(self._state(lead), NOW)

    def stored(self, lead: int) -> StoredIdentity:
        """Return what the table has of a lead."""
        return self._stored(lead, self._state(lead).to_json())

    def refresh(self, identity: str) -> None:
        """Write a lead anew as of now, as `score` does where it is told to refresh it."""
        lead = lead_number(identity)
        entries = self._shard(lead)
        del entries[bisect_left(entries, self._rank_key(lead))]
        self._refreshed[lead] = stand(self.score(lead), self._last_active(lead))
        insort(entries, self._rank_key(lead))

    def query(self, **request: Any) -> dict[str, Any]:
        """Answer a page of one shard of the ranking as DynamoDB does: up to the limit or a megabyte."""
        shard, wanted = request["ExpressionAttributeValues"][":partition"], request["ProjectionExpression"].split(", ")
        after = request.get("ExclusiveStartKey", {"rank_key": {"S": ""}})["rank_key"]["S"]
        entries = self._index[shard["S"]]
        items: list[Item] = []
        size, start = 0, bisect_right(entries, after)
        for text in entries[start : start + request["Limit"]]:
            entry = {**self._entry(lead_number(text)), "rank_pk": shard}
            items.append({name: entry[name] for name in wanted if name in entry})
            size += _size(entry)
            if size >= PAGE_BYTES:
                break
        self._counts.pages += 1
        self._counts.entries += len(items)
        self._counts.units += 0.5 * -(-size // 4096)
        stopped = len(items) == request["Limit"] or size >= PAGE_BYTES
        return {"Items": items, **({"LastEvaluatedKey": {"rank_key": items[-1]["rank_key"]}} if stopped else {})}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """Answer the items of leads that some answer of `query` has named."""
        return {"Responses": {TABLE: self._items(request["RequestItems"][TABLE]["Keys"])}}

    def get_item(self, **request: Any) -> dict[str, Any]:
        """Answer the item of one such lead."""
        return {"Item": self._items([request["Key"]])[0]}

    def _items(self, keys: Sequence[Item]) -> list[Item]:
        items = [self._item(self._named[key["pk"]["S"]]) for key in keys]
        self._counts.requests += 1
        self._counts.items += len(items)
        self._counts.units += sum(-(-_size(item) // 4096) for item in items)
        return items

    def _standing(self, lead: int) -> Standing:
        if lead in self._refreshed:
            return self._refreshed[lead]
        standings = self._histories[self._followed[lead]].standings
        written = bisect_right(standings, self._ages[lead], key=lambda one: one.since) if self._cooled else 1
        return standings[written - 1]

    def _state(self, lead: int) -> State:
        return self._histories[self._followed[lead]].state(self._last_active(lead))

    def _last_active(self, lead: int) -> Millis:
        return from_datetime(NOW) - self._ages[lead]

    def _shard(self, lead: int) -> list[str]:
        return self._index[shard_key(crc32(lead_identity(lead).encode()) % self._shards)]

    def _rank_key(self, lead: int) -> str:
        return _rank_text(self._standing(lead).key) + lead_identity(lead)

    def _stored(self, lead: int, state: str) -> StoredIdentity:
        standing = self._standing(lead)
        due = None if standing.due is None else self._last_active(lead) + standing.due
        body = LeadBody(state, RULES.version, standing.tier, standing.key, due, None, AlertMemory())
        return StoredIdentity(lead_identity(lead), version=1, body=body)

    def _entry(self, lead: int) -> Item:
        """Return all that the index holds of a lead, but for its shard."""
        values = identity_values(self._stored(lead, ""), self._shards)
        key = identity_key(lead_identity(lead))
        self._named[key["pk"]["S"]] = lead
        return {**key, **{name: values[name] for name in RANKED_ATTRIBUTES if name in values}}

    def _item(self, lead: int) -> Item:
        values = identity_values(self.stored(lead), self._shards)
        return {**identity_key(lead_identity(lead)), **values, "pending": {"M": {}}}


def lead_identity(lead: int) -> str:
    """Return the identity of a lead by its number."""
    return f"user:lead-{lead:07d}"


def lead_number(text: str) -> int:
    """Return the number of the lead that an identity, or a key that ends with it, is of."""
    return int(text.rpartition("-")[2])


@cache
def _rank_text(key: int) -> str:
    """Return what the sort key of the ranking begins with."""
    body = LeadBody("", "", "", key, None, None, AlertMemory())
    text: str = identity_values(StoredIdentity("", version=1, body=body), 1)["rank_key"]["S"]
    return text


def _size(item: Item) -> int:
    """Return the bytes of an item: its attributes' names and texts."""
    return sum(len(name) + len(str(next(iter(value.values())))) for name, value in item.items())
