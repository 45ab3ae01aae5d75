"""Rating accounts: what their people come to is brought into the ranking of accounts, and a new tier is announced.

    a lead is written --> {"rate": account} --> read its rating, then its people --> decide --> write --> announce
    time has passed   --^                                 ^                                      |
                                                          +--- once more, until nothing is new --+

Invariant: whoever finds nothing new has read the people after the rating that stays. A rating that was decided before
another lead was written, and written after that lead's own rater had found nothing new, is found out by who wrote it.
"""

from __future__ import annotations

from dataclasses import replace

from leadscore.core import alerting
from leadscore.core.alerting import AlertDecision, AlertMemory, decide_account_alert, hold_back, rearm
from leadscore.core.changes import AccountCause, AccountChange, change_id
from leadscore.core.decay import to_points, to_units
from leadscore.core.instants import DAY, Millis, format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.account_people import Standing, read_standing
from leadscore.usecases.accounts import account_name, load_account_states
from leadscore.usecases.deciding import IMPORTED, RANK_SLACK, rank_key
from leadscore.usecases.records import ConflictError, StoredRating
from leadscore.usecases.retrying import attempts
from leadscore.usecases.scoring import Tools

# How soon time alone is noticed in an account whose tier it can change. A person's own change of tier is sooner: that
# lead is due then, and has its account rated.
LONGEST_UNRATED: Millis = DAY


def rate_account(tools: Tools, account: str, *, imported: bool = False) -> bool:
    """Bring an account's rating up to now; return whether changes of it wait to be announced.

    A tier that changes where `imported` says that past events were the reason is not announced. Raises
    ContentionError when others won every attempt.
    """
    for _ in attempts(tools.pause, "an account's rating"):
        stored = tools.store.load_ratings([account])[account]
        try:
            rating = _rate(tools, stored, imported=imported)
            if rating is None:
                return bool(stored.pending)
            tools.store.save_rating(rating)
        except ConflictError:
            continue
    raise AssertionError("the attempts end by themselves")


def decide_rating(
    ruleset: Ruleset, stored: StoredRating, standing: Standing, memory: AlertMemory, at: Millis
) -> StoredRating | None:
    """Return the rating to write, without what is to be announced; None where the stored one still holds."""
    if not (stored.version or standing.people_total):
        return None
    rating = StoredRating(
        account=stored.account,
        version=stored.version,
        ruleset=ruleset.version,
        tier=standing.tier,
        score=stored.score,
        people=standing.people_total,
        rank_key=_key(stored, standing),
        due=_due(ruleset, stored, standing, at),
        memory=memory,
    )
    if rating == replace(stored, pending=()):
        return None
    return replace(rating, version=stored.version + 1, score=standing.score)


def _rate(tools: Tools, stored: StoredRating, *, imported: bool) -> StoredRating | None:
    ruleset, at = tools.ruleset, from_datetime(tools.clock())
    standing = read_standing(tools.store, ruleset, stored.account, at, "rating")
    memory = rearm(ruleset.alerts, stored.memory, standing.score)
    if memory != stored.memory:
        # What was read for a rating may be a little less than the exact total.
        total = read_standing(tools.store, ruleset, stored.account, at, "total").score
        memory = rearm(ruleset.alerts, stored.memory, total)
    rating = decide_rating(ruleset, stored, standing, memory, at)
    previous_tier = stored.tier or ruleset.tiers[-1].name
    if rating is None or rating.tier == previous_tier:
        return rating
    exact = standing if imported else read_standing(tools.store, ruleset, stored.account, at, "total")
    if exact.tier != rating.tier:
        raise ConflictError("an account's people were written while it was rated")
    alert = _judge(ruleset, replace(stored, tier=previous_tier, memory=memory), exact, at, imported=imported)
    if imported:
        return replace(rating, memory=alert.memory)
    states = load_account_states(tools.store, ruleset, [stored.account])
    change = AccountChange(
        id=change_id(f"account:{stored.account}", rating.version, "tier"),
        account=stored.account,
        name=account_name(states.get(stored.account)),
        cause=_cause(ruleset, stored, at),
        at=format_instant(at),
        people=rating.people,
        tier=rating.tier,
        previous_tier=previous_tier,
        score=exact.score,
        previous_score=stored.score,
        ruleset=ruleset.version,
        revision=rating.version,
        alert=alert.outcome,
        alert_reason=alert.reason,
    )
    return replace(rating, score=exact.score, memory=alert.memory, pending=(change,))


def _judge(ruleset: Ruleset, stored: StoredRating, standing: Standing, at: Millis, *, imported: bool) -> AlertDecision:
    """Return what is to become of an alert, by the policy for leads: neither other criteria nor history are news."""
    before = alerting.Standing(stored.tier, stored.score)
    after = alerting.Standing(standing.tier, standing.score)
    decision = decide_account_alert(ruleset.alerts, ruleset.tiers, stored.memory, before, after, at)
    if imported:
        return hold_back(decision, replace(stored.memory, armed=decision.memory.armed), IMPORTED)
    if _cause(ruleset, stored, at) == "ruleset":
        return hold_back(decision, stored.memory, "the ruleset changed, not the account")
    return decision


def _cause(ruleset: Ruleset, stored: StoredRating, at: Millis) -> AccountCause:
    if stored.version and stored.ruleset != ruleset.version:
        return "ruleset"
    return "time" if stored.due is not None and stored.due <= at else "people"


def _key(stored: StoredRating, standing: Standing) -> int | None:
    if not standing.people_total:
        return None
    key = rank_key(to_points(standing.ceiling))
    kept = stored.rank_key
    return kept if kept is not None and key <= kept <= key + RANK_SLACK else key


def _due(ruleset: Ruleset, stored: StoredRating, standing: Standing, at: Millis) -> Millis | None:
    """Return when to look again: where the tier can sink, or rise as far as what is known of the people allows."""
    lowest, above = ruleset.tiers[-1], ruleset.tiers[-2]
    can_sink = standing.tier != lowest.name
    can_rise = above.from_ is not None and standing.ceiling >= to_units(above.from_)
    if not (can_sink or can_rise):
        return None
    return stored.due if stored.due is not None and stored.due > at else at + LONGEST_UNRATED
