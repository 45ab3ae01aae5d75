"""What becomes of a lead's body: its new standing, the index keys that follow from it, what to announce.

Pure: everything it depends on was gathered before, and the instant is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leadscore.core.alerting import AlertDecision, AlertMemory, Standing, decide_alert, join_memories
from leadscore.core.changes import Cause, Change, ChangeKind, change_id
from leadscore.core.identity import display_id
from leadscore.core.instants import Millis, format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.core.state import AccountState, State
from leadscore.usecases.records import LeadBody, StoredIdentity
from leadscore.usecases.standing import describe_person, score_now, top_reasons

# Rank keys are whole hundredths of a point, rounded up so that a key never lies below its score, and shifted so that
# a negative total sorts rightly as text.
KEYS_PER_POINT = 100
_KEY_SHIFT = 10**9
# A key that bounds its score this loosely is still kept: moving it costs two write units.
RANK_SLACK = 2 * KEYS_PER_POINT


@dataclass(frozen=True, slots=True)
class Situation:
    """A root, its state before and after, the accounts that go with the two, and the bodies that it swallows.

    `cause` is what makes `after` of `before`.
    """

    ruleset: Ruleset
    root: StoredIdentity
    before: State
    after: State
    account_before: AccountState | None
    account_after: AccountState | None
    swallowed: tuple[LeadBody, ...] = ()
    cause: Cause = "events"


def decide(situation: Situation, now: datetime) -> tuple[LeadBody, tuple[Change, ...]]:
    """Return the body to write and the changes to announce."""
    ruleset, stored = situation.ruleset, situation.root.body
    score = score_now(situation.after, situation.account_after, now)
    # Where the log took something back, what was known before may be newer than what is known after.
    before = score_now(situation.before, situation.account_before, score.at)
    memories = [body.memory for body in (stored, *situation.swallowed) if body is not None]
    story = _Story(situation, join_memories(memories))
    if stored is not None and stored.tier != before.tier:
        story.tell_step(_silent_cause(ruleset, stored, from_datetime(score.at)), stored.tier, before.total, before)
    story.tell_step(situation.cause, before.tier, before.total, score)
    if before.converted_at is None and score.converted_at is not None:
        story.tell_conversion(before, score)
    due = score.next_change_at
    body = LeadBody(
        state=situation.after.to_json(),
        ruleset=ruleset.version,
        tier=score.tier,
        rank_key=_kept_key(stored, rank_key(score.ceiling)),
        due=None if due is None else from_datetime(due),
        account=situation.after.account,
        memory=story.memory,
    )
    return body, tuple(story.changes)


def rank_key(ceiling: float) -> int:
    """Return the index key of a score's ceiling: whole hundredths, rounded up, never negative."""
    # In whole numbers: a float product may round below the ceiling.
    over, under = ceiling.as_integer_ratio()
    return max(0, -(-over * KEYS_PER_POINT // under) + _KEY_SHIFT)


def highest_score(key: int) -> float:
    """Return the highest score that a rank key allows."""
    return (key - _KEY_SHIFT) / KEYS_PER_POINT


def bounds_loosely(key: int, ceiling: float) -> bool:
    """Return whether a key lies so far above a score's ceiling that it is worth moving."""
    return key - rank_key(ceiling) > RANK_SLACK


def stands_as(stored: LeadBody, body: LeadBody) -> bool:
    """Return whether a stored body still says of its lead's standing what `body` says."""
    return (stored.ruleset, stored.tier, stored.rank_key, stored.due, stored.account, stored.memory) == (
        body.ruleset,
        body.tier,
        body.rank_key,
        body.due,
        body.account,
        body.memory,
    )


def _kept_key(stored: LeadBody | None, key: int) -> int:
    if stored is not None and key <= stored.rank_key <= key + RANK_SLACK:
        return stored.rank_key
    return key


def _silent_cause(ruleset: Ruleset, stored: LeadBody, at: Millis) -> Cause:
    """Return what has changed the tier since the lead was written, none of its own events being the cause."""
    if stored.ruleset != ruleset.version:
        return "ruleset"
    return "time" if stored.due is not None and stored.due <= at else "account"


class _Story:
    """Collects the changes of one commit in their order, each judged by the alert policy with the memory so far."""

    def __init__(self, situation: Situation, memory: AlertMemory) -> None:
        self.changes: list[Change] = []
        self.memory = memory
        self._situation = situation
        self._person = describe_person(display_id(situation.root.identity), situation.after)

    def tell_step(self, cause: Cause, tier: str, total: float, score: Score) -> None:
        """Judge one step from a standing to a score; it is a change where the tier differs."""
        rules = self._situation.ruleset
        before, after = Standing(tier, total), Standing(score.tier, score.total)
        alert = decide_alert(rules.alerts, rules.tiers, self.memory, before, after, from_datetime(score.at))
        if cause == "ruleset":
            alert = AlertDecision(fires=False, reason="the ruleset changed, not the lead", memory=self.memory)
        self.memory = alert.memory
        if before.tier != after.tier:
            self._tell("tier", cause, before, score, alert)

    def tell_conversion(self, before: Score, score: Score) -> None:
        """Record that the goal was reached."""
        alert = AlertDecision(fires=False, reason="a conversion is no alert", memory=self.memory)
        self._tell("conversion", "events", Standing(before.tier, before.total), score, alert)

    def _tell(self, kind: ChangeKind, cause: Cause, before: Standing, score: Score, alert: AlertDecision) -> None:
        root = self._situation.root
        change = Change(
            id=change_id(root.identity, root.version + 1, f"{kind} {cause}"),
            kind=kind,
            cause=cause,
            at=format_instant(from_datetime(score.at)),
            person=self._person,
            tier=score.tier,
            previous_tier=before.tier,
            score=score.total,
            previous_score=before.total,
            groups=score.groups,
            reasons=top_reasons(self._situation.ruleset, score),
            alert=alert.fires,
            alert_reason=alert.reason,
            ruleset=score.version,
        )
        self.changes.append(change)
