"""Accounts are rated when a person of them counts otherwise, and only then; a new tier is announced once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from leadscore import parse_ruleset
from leadscore.core.changes import AccountChange
from leadscore.core.instants import DAY, from_datetime, to_datetime
from leadscore.core.ruleset import RollUp, Ruleset
from leadscore.usecases.announcing import announce_pending_of_account
from leadscore.usecases.batches import Queues, read_message, score_batch
from leadscore.usecases.cooling import hand_on_due_accounts
from leadscore.usecases.deciding import highest_score
from leadscore.usecases.erasing import erase_lead
from leadscore.usecases.rate_message import Rate
from leadscore.usecases.rating import rate_account
from leadscore.usecases.rebuilding import Segment, rebuild_segment
from leadscore.usecases.records import ConflictError, Grave, StoredRating
from leadscore.usecases.scoring import Tools
from tests.contract.memory_store import MemoryStore
from tests.contract.memory_table import MemoryTable
from tests.unit.test_score_batch import NOW, RULES, Queue, body_of, from_ingest, make_event


class Scene:
    """A store and the messages that scoring it sends, each kind apart."""

    def __init__(self, store: MemoryStore | None = None, ruleset: Ruleset = RULES) -> None:
        self.store = store or MemoryStore()
        self.events, self.changes, self.ratings = Queue(), Queue(), Queue()
        self.ruleset = ruleset
        self.now = NOW

    @property
    def tools(self) -> Tools:
        return Tools(self.store, self.ruleset, lambda: self.now, lambda _: None)

    @property
    def queues(self) -> Queues:
        return Queues(self.events, self.changes, self.ratings)

    def score(self, *bodies: str) -> list[str]:
        """Score the bodies as one batch; return what is to be tried again."""
        records = [{"messageId": f"sqs-{i}", "body": body} for i, body in enumerate(bodies)]
        return score_batch(self.tools, self.queues, records, self.store).retry

    def happen(self, *events: dict[str, object]) -> None:
        """Score the events as one batch, and then all that follows from them."""
        assert self.score(*map(from_ingest, events)) == []
        self.settle()

    def settle(self) -> None:
        while self.events.bodies or self.ratings.bodies:
            bodies = self.events.bodies + self.ratings.bodies
            self.events.bodies, self.ratings.bodies = [], []
            assert self.score(*bodies) == []

    def rating(self, account: str = "acme") -> StoredRating:
        return self.store.load_ratings([account])[account]

    def steps(self, account: str = "acme") -> list[tuple[str, str, str]]:
        """What is to be announced of an account."""
        return [(change.cause, change.previous_tier, change.tier) for change in self.rating(account).pending]

    def wait(self, until: datetime) -> int:
        """Let the schedule run at an instant; return how many accounts were due."""
        self.now = until
        due = hand_on_due_accounts(self.store, self.ratings, until)
        self.settle()
        return due


def joins(lead: str, account: str = "acme", age_days: float = 1, **traits: object) -> dict[str, object]:
    return make_event(f"join-{lead}-{account}", "group", lead, age_days, groupId=account, traits=traits)


def tries(lead: str, message: str = "trial", age_days: float = 0) -> dict[str, object]:
    return make_event(f"{message}-{lead}", "track", lead, age_days, event="Trial Started")


def looks_around(lead: str) -> dict[str, object]:
    return make_event(f"look-{lead}", "page", lead)


def leads(lead: str) -> dict[str, object]:
    return make_event(f"title-{lead}", "identify", lead, traits={"title": "VP Sales"})


def test_what_people_score_becomes_what_their_account_scores() -> None:
    scene = Scene()
    scene.happen(joins("ada"), joins("bob"), joins("cyd"))
    assert (scene.rating().tier, scene.rating().people) == ("cold", 3)
    assert scene.steps() == []
    scene.happen(tries("ada"))
    assert scene.steps() == [("people", "cold", "warm")]
    scene.happen(tries("bob"))
    assert scene.steps()[1:] == [("people", "warm", "hot")]
    # 40 and half of 40; and of the third who has nothing, nothing.
    assert highest_score(scene.rating().rank_key or 0) == 60
    change = scene.rating().pending[1]
    assert (change.score, change.previous_score, change.people, change.account) == (60, 40, 3, "acme")


def test_one_batch_asks_for_an_account_once() -> None:
    scene = Scene()
    scene.score(*map(from_ingest, [*map(joins, ("ada", "bob", "cyd")), *map(tries, ("ada", "bob"))]))
    assert scene.ratings.bodies == [Rate("acme").body()]
    assert read_message(scene.ratings.bodies[0]) == Rate("acme")


def test_who_counts_as_before_has_nobody_rated() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"))
    written = scene.store.identities["user:ada"].version
    # A page that matches nothing, an older trial that the newer one outdoes, a name that counts for nothing.
    named = make_event("name", "identify", "ada", traits={"name": "Ada"})
    for event in (looks_around("ada"), tries("ada", "older", age_days=2), named):
        assert scene.score(from_ingest(event)) == []
        assert scene.ratings.bodies == []
    assert scene.store.identities["user:ada"].version == written + 1
    scene.happen(looks_around("zoe"), tries("zoe"))
    assert scene.store.ratings.keys() == {"acme"}


def test_who_rises_below_a_bound_that_stays_has_the_account_rated() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"))
    before = body_of(scene.store)
    scene.now = NOW + timedelta(days=15)
    # 28.3 of the 40 are left, and 39.1 of the second trial: the bound of 40 is still a good one.
    scene.score(from_ingest(tries("ada", "second", age_days=-14)))
    after = body_of(scene.store)
    assert (after.rank_key, after.tier) == (before.rank_key, before.tier)
    assert after.state != before.state
    assert scene.ratings.bodies == [Rate("acme").body()]


def test_who_changes_the_account_has_both_rated() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"), joins("bob"))
    scene.happen(joins("ada", "beta", age_days=0))
    assert (scene.rating("acme").tier, scene.rating("acme").people) == ("cold", 1)
    assert (scene.rating("beta").tier, scene.rating("beta").people) == ("warm", 1)


def test_who_becomes_another_lead_is_counted_once() -> None:
    scene = Scene()
    visit = {**tries("", "visit"), "anonymousId": "v1"}
    join = {**joins("", "beta"), "anonymousId": "v1"}
    for event in (visit, join):
        del event["userId"]
    scene.happen(visit, join)
    assert scene.rating("beta").tier == "warm"
    scene.happen(joins("ada", age_days=0), {**leads("ada"), "anonymousId": "v1"})
    assert (scene.rating("beta").tier, scene.rating("beta").people) == ("cold", 0)
    # 20 for the title and the visitor's 40.
    assert (scene.rating("acme").tier, scene.rating("acme").people) == ("hot", 1)


def test_an_account_without_people_is_ranked_nowhere() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"))
    assert [account for _, account in scene.store.walk_account_ranking()] == ["acme"]
    scene.happen(joins("ada", "beta", age_days=0))
    assert [account for _, account in scene.store.walk_account_ranking()] == ["beta"]
    assert (scene.rating().rank_key, scene.rating().due) == (None, None)


def test_an_account_that_nobody_ever_joined_is_not_written() -> None:
    scene = Scene()
    assert rate_account(scene.tools, "nobody") is False
    assert scene.store.ratings == {}


def test_rating_again_changes_nothing() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"))
    rating = scene.rating()
    assert rate_account(scene.tools, "acme") is True
    scene.store.clear_pending_of_account("acme", [rating.pending[0].id])
    scene.now = NOW + timedelta(hours=9)
    assert rate_account(scene.tools, "acme") is False
    assert scene.rating() == replace(rating, pending=())


def test_the_traits_of_an_account_raise_its_people_and_so_the_account() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"), joins("bob"), leads("bob"))
    assert scene.rating().tier == "hot"
    scene.happen(joins("ada", "beta", age_days=0), joins("bob", "beta", age_days=0))
    scene.happen(make_event("large", "group", "bob", groupId="beta", traits={"employees": 300}))
    # 48 and half of 28.
    assert highest_score(scene.rating("beta").rank_key or 0) == 62


def test_an_account_sinks_with_time_within_a_day() -> None:
    scene = Scene()
    scene.happen(joins("ada"), joins("bob"), tries("ada"), tries("bob"))
    assert scene.wait(NOW + timedelta(days=1, milliseconds=-1)) == 0
    assert scene.rating().due == from_datetime(NOW) + DAY
    # 60 x 2^(-d/30) is 50 after 7.9 days.
    assert [scene.wait(NOW + timedelta(days=day)) for day in range(1, 9)] == [1] * 8
    assert scene.steps()[-1] == ("time", "hot", "warm")
    assert scene.rating().pending[-1].at == "2026-03-09T12:00:00.000Z"
    assert sum(scene.wait(NOW + timedelta(days=day)) for day in range(9, 60)) < 51
    assert scene.steps()[-1] == ("time", "warm", "cold")
    assert scene.rating().due is None
    assert scene.wait(NOW + timedelta(days=1000)) == 0


def test_a_person_that_time_takes_into_another_tier_has_the_account_rated() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"), leads("ada"))
    due = body_of(scene.store).due
    assert due is not None
    scene.now = to_datetime(due)
    scene.score(json.dumps({"refresh": "user:ada"}))
    assert scene.ratings.bodies == [Rate("acme").body()]


RISING = parse_ruleset(
    {
        "tiers": [{"name": "warm", "from": 25}, {"name": "cold"}],
        "criteria": [
            {"id": "trial", "group": "product", "event": {"event": ["Trial Started"]}, "points": 20},
            {"id": "look", "group": "product", "event": {"type": ["page"]}, "points": -20, "half_life": "1d"},
            {"id": "boss", "group": "fit", "traits": {"title": ["CEO"]}, "points": 10},
        ],
    }
)


def test_an_account_that_rises_with_time_is_seen_though_none_of_its_people_changes_tier() -> None:
    scene = Scene(ruleset=RISING)
    for lead in ("ada", "bob"):
        scene.happen(joins(lead), tries(lead), looks_around(lead))
    assert highest_score(scene.rating().rank_key or 0) == 30
    assert [scene.wait(NOW + timedelta(days=day)) for day in (1, 2)] == [1, 1]
    assert scene.steps() == []
    # 17.5 and half of 17.5.
    scene.wait(NOW + timedelta(days=3))
    assert scene.steps() == [("time", "cold", "warm")]


class Interfered(MemoryStore):
    """Does something else first when a rating is to be saved, once."""

    meanwhile: Callable[[], object] | None = None

    def save_rating(self, rating: StoredRating) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().save_rating(rating)


def test_a_rating_that_was_overtaken_is_put_right_by_who_wrote_it() -> None:
    store = Interfered()
    scene = Scene(store)
    scene.happen(joins("ada"))
    cold = store.identities["user:ada"]
    scene.score(from_ingest(tries("ada")))

    def cool_down_and_rate() -> None:
        store.identities["user:ada"] = replace(cold, version=9)
        # Nothing new to who comes now: nobody has said yet that it was warm for a moment.
        assert rate_account(scene.tools, "acme") is False

    store.meanwhile = cool_down_and_rate
    scene.settle()
    assert scene.rating().tier == "cold"
    assert scene.steps() == [("people", "cold", "warm"), ("people", "warm", "cold")]


def test_of_two_who_rate_at_once_the_second_decides_anew() -> None:
    store = Interfered()
    scene = Scene(store)
    scene.happen(joins("ada"))
    scene.score(from_ingest(tries("ada")))
    store.meanwhile = lambda: rate_account(scene.tools, "acme")
    scene.settle()
    assert scene.steps() == [("people", "cold", "warm")]


class Taken(MemoryStore):
    """Somebody else always saves the rating first."""

    def save_rating(self, rating: StoredRating) -> None:
        raise ConflictError(f"{rating.account} was lost")


def test_who_loses_every_time_comes_again() -> None:
    scene = Scene(Taken())
    scene.score(from_ingest(joins("ada")))
    assert scene.score(*scene.ratings.bodies, *scene.ratings.bodies, from_ingest(tries("bob"))) == ["sqs-0", "sqs-1"]


def test_what_was_not_handed_on_is_handed_on_by_the_redelivery() -> None:
    scene = Scene()
    scene.happen(joins("ada"))
    events = [from_ingest(tries("ada")), from_ingest(tries("bob"))]
    scene.ratings.down = True
    assert scene.score(*events) == ["sqs-0"]
    scene.ratings.down = False
    assert scene.score(*events) == []
    assert scene.ratings.bodies == [Rate("acme").body()]


def test_who_left_an_account_has_it_rated_by_the_redelivery_too() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"))
    scene.ratings.down = True
    moves = from_ingest(joins("ada", "beta", age_days=0))
    assert scene.score(moves) == ["sqs-0"]
    scene.ratings.down = False
    scene.score(moves)
    scene.settle()
    assert (scene.rating("acme").people, scene.rating("beta").people) == (0, 1)


def test_a_refresh_that_died_before_it_handed_on_is_made_good_by_its_redelivery() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"), leads("ada"))
    due = body_of(scene.store).due
    assert due is not None
    scene.now = to_datetime(due)
    scene.ratings.down = True
    refresh = json.dumps({"refresh": "user:ada"})
    assert scene.score(refresh) == ["sqs-0"]
    scene.ratings.down = False
    assert scene.score(refresh) == []
    assert scene.ratings.bodies == [Rate("acme").body()]


def test_a_change_is_handed_on_until_it_was_announced() -> None:
    scene = Scene()
    scene.score(*map(from_ingest, (joins("ada"), tries("ada"))))
    (message,) = scene.ratings.bodies
    scene.changes.down = True
    assert scene.score(message) == ["sqs-0"]
    scene.changes.down, scene.changes.bodies = False, []
    assert scene.score(message) == []
    assert scene.changes.bodies == ['{"account": "acme"}']
    told: list[AccountChange] = []

    class Bus:
        def announce(self, change: AccountChange) -> None:
            told.append(change)

    (change,) = scene.rating().pending
    taken: list[AccountChange] = []

    def take(changes: Sequence[AccountChange]) -> Callable[[], None]:
        taken.extend(changes)
        return lambda: None

    assert announce_pending_of_account(scene.store, take, Bus(), "acme") == [change]
    assert announce_pending_of_account(scene.store, take, Bus(), "acme") == []
    assert taken == told == [change]
    assert scene.score(message) == []
    assert scene.changes.bodies == ['{"account": "acme"}']


def test_what_an_import_alone_has_changed_is_not_announced() -> None:
    scene = Scene()
    history = [json.dumps({"event": event, "imported": True}) for event in (joins("ada"), tries("ada"))]
    scene.score(*history)
    assert scene.ratings.bodies == [Rate("acme", imported=True).body()]
    scene.settle()
    assert scene.rating().tier == "warm"
    assert scene.steps() == []
    scene.happen(joins("bob"), tries("bob"))
    assert scene.steps() == [("people", "warm", "hot")]


def test_an_accounts_name_is_told() -> None:
    scene = Scene()
    scene.happen(joins("ada", name="Acme Inc."), tries("ada"))
    assert scene.rating().pending[0].name == "Acme Inc."


def test_other_criteria_are_told_from_what_people_did() -> None:
    scene = Scene()
    scene.happen(joins("ada"), joins("bob"), tries("ada"), tries("bob"))
    scene.ruleset = replace(RULES, version="other", accounts=RollUp("max"))
    rate_account(scene.tools, "acme")
    assert scene.steps()[-1] == ("ruleset", "hot", "warm")
    assert scene.rating().ruleset == "other"


def test_a_rebuild_has_every_account_rated() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"), joins("bob", "beta"), tries("zoe"))
    rebuild_segment(scene.tools, MemoryTable(scene.store), scene.queues, Segment(0, 1), 100)
    assert scene.ratings.bodies == [Rate("acme").body(), Rate("beta").body()]


def test_who_is_erased_has_the_account_rated_without_them() -> None:
    scene = Scene()
    scene.happen(joins("ada"), tries("ada"))
    sweeps = Queue()
    erase_lead(
        scene.store, scene.store, sweeps, "ada", Grave(from_datetime(NOW), from_datetime(NOW) + DAY), lambda _: None
    )
    assert scene.score(*sweeps.bodies) == []
    assert (scene.rating().tier, scene.rating().people) == ("cold", 0)


def test_a_due_account_is_handed_on_once_a_run_and_all_of_them_are() -> None:
    store, queue = MemoryStore(), Queue()
    for number in range(250):
        store.ratings[f"a{number:03d}"] = StoredRating(f"a{number:03d}", 1, "r", "hot", 60, 1, 1, due=number)
    assert hand_on_due_accounts(store, queue, to_datetime(199)) == 200
    assert queue.bodies == [Rate(f"a{number:03d}").body() for number in range(200)]


@pytest.mark.parametrize("body", ['{"rate": 7}', '{"rate": null}'])
def test_a_message_that_names_no_account_is_refused(body: str) -> None:
    scene = Scene()
    assert scene.score(body) == ["sqs-0"]
