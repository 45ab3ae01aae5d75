"""What becomes of a lead's body: its new standing, the index keys that follow from it, what to announce.

Pure: everything it depends on was gathered before, and the instant is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from leadscore.core.alerting import (
    AlertDecision,
    AlertMemory,
    Standing,
    decide_alert,
    decide_hand_raise,
    hold_back,
    join_memories,
    standing_of,
)
from leadscore.core.changes import Cause, Change, ChangeKind, change_id
from leadscore.core.identity import display_id
from leadscore.core.instants import Millis, format_instant, from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.core.state import AccountState, State
from leadscore.usecases.announcing import FOR_PEOPLE_ALONE
from leadscore.usecases.records import LeadBody, Ranked, StoredIdentity
from leadscore.usecases.standing import describe_person, score_now, top_reasons

# Rank keys are whole hundredths of a point, rounded up so that a key never lies below its score, and shifted so that
# a negative total sorts rightly as text.
KEYS_PER_POINT = 100
_KEY_SHIFT = 10**9
IMPORTED = "imported history"
# More than one commit can make of a lead: so revisions rise from write to write.
MOST_CHANGES = 10
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


class Decision(NamedTuple):
    """The body to write, the changes to announce, and whether the lead may count otherwise for its account by now."""

    body: LeadBody
    changes: tuple[Change, ...]
    moved: bool


def decide(situation: Situation, now: datetime) -> Decision:
    """Return what becomes of the root."""
    ruleset, stored = situation.ruleset, situation.root.body
    score = score_now(situation.after, situation.account_after, now)
    # Where the log took something back, what was known before may be newer than what is known after.
    before = score_now(situation.before, situation.account_before, score.at)
    memories = [body.memory for body in (stored, *situation.swallowed) if body is not None]
    story = _Story(situation, join_memories(memories))
    if stored is not None and stored.tier != before.tier:
        silent = _silent_cause(ruleset, stored, from_datetime(score.at))
        # An account's traits that came with imported events are no more news than those events.
        told = "import" if silent == "account" and situation.cause == "import" else silent
        story.tell_step(told, replace(standing_of(before), tier=stored.tier), before)
    story.tell_hand_raise(before, score)
    story.tell_step(situation.cause, standing_of(before), score)
    if before.converted_at is None and score.converted_at is not None:
        story.tell_conversion(before, score)
    announced = story.tell_score(before, score)
    due = score.next_change_at
    body = LeadBody(
        state=situation.after.to_json(),
        ruleset=ruleset.version,
        tier=score.tier,
        rank_key=_kept_key(stored, rank_key(score.ceiling)),
        due=None if due is None else from_datetime(due),
        account=situation.after.account,
        memory=story.memory,
        announced=announced,
    )
    # A key that is kept does not tell that the score has risen below it.
    moved = stored is None or before.total != score.total or _counts_as(stored) != _counts_as(body)
    return Decision(body, tuple(story.changes), moved)


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


def is_surely_elsewhere(entry: Ranked, tier: str, ruleset: Ruleset, at: Millis) -> bool:
    """Return whether the index alone tells that a lead is in another tier at `at`."""
    if entry.tier == tier or entry.ruleset != ruleset.version:
        return False
    return entry.due is None or entry.due > at


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


def _counts_as(body: LeadBody) -> tuple[str | None, str, int]:
    return body.account, body.tier, body.rank_key


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

    def tell_step(self, cause: Cause, before: Standing, score: Score) -> None:
        """Judge one step from a standing to a score; it is a change where the tier differs, or where it alerts."""
        rules, after = self._situation.ruleset, standing_of(score)
        alert = decide_alert(rules.alerts, rules.tiers, self.memory, before, after, from_datetime(score.at))
        if cause == "ruleset":
            alert = hold_back(alert, self.memory, "the ruleset changed, not the lead")
        elif cause == "import":
            # As after an alert, but for its cooldown: what is hot already is no news later, and nobody was told yet.
            alert = hold_back(alert, replace(self.memory, armed=alert.memory.armed), IMPORTED)
        self.memory = alert.memory
        if before.tier != after.tier:
            self._tell("tier", cause, before, score, alert)
        elif alert.outcome != "none":
            self._tell("fit", cause, before, score, alert)

    def tell_hand_raise(self, before: Score, score: Score) -> None:
        """Judge a hand that was raised since `before`; it is a change whatever comes of it."""
        policy, cause, raised = self._situation.ruleset.alerts, self._situation.cause, score.raised
        known = None if before.raised is None else before.raised.time
        if raised is None:
            return
        at, standing = from_datetime(score.at), standing_of(score)
        alert = decide_hand_raise(policy, self.memory, known, raised.time, standing, at)
        if cause == "import":
            alert = hold_back(alert, replace(self.memory, heard_raise=alert.memory.heard_raise), IMPORTED)
        self.memory = alert.memory
        if alert.outcome != "none":
            self._tell("hand_raise", cause, standing_of(before), score, alert, raised.name)

    def tell_conversion(self, before: Score, score: Score) -> None:
        """Record that the goal was reached."""
        alert = AlertDecision("none", "a conversion is no alert", self.memory)
        cause: Cause = "import" if self._situation.cause == "import" else "events"
        self._tell("conversion", cause, Standing(before.tier, before.total), score, alert)

    def tell_score(self, before: Score, score: Score) -> float | None:
        """Record a score that is far from what machines were last told, and return what they know then.

        Every change that they hear of tells the score; a lead that none was told of counts as one without points.
        """
        rules, stored = self._situation.ruleset, self._situation.root.body
        if rules.score_change is None:
            return None
        heard = [change.score for change in self.changes if change.kind not in FOR_PEOPLE_ALONE]
        told = heard[-1] if heard else None if stored is None else stored.announced
        known = 0.0 if told is None else told
        if abs(score.total - known) < rules.score_change:
            return told
        alert = AlertDecision("none", "another score is no alert", self.memory)
        self._tell("score", self._cause_of_score(before, score), Standing(score.tier, known), score, alert)
        return score.total

    def _cause_of_score(self, before: Score, score: Score) -> Cause:
        """Return what made the score of what it was; what its account's traits did counts as done by time."""
        cause, stored = self._situation.cause, self._situation.root.body
        if cause == "import" or stored is None:
            return cause
        if stored.ruleset != score.version:
            return "ruleset"
        return "time" if before.total == score.total else cause

    def _tell(
        self,
        kind: ChangeKind,
        cause: Cause,
        before: Standing,
        score: Score,
        alert: AlertDecision,
        event: str | None = None,
    ) -> None:
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
            alert=alert.outcome,
            alert_reason=alert.reason,
            ruleset=score.version,
            event=event,
            account=self._situation.after.account,
            revision=(root.version + 1) * MOST_CHANGES + len(self.changes),
        )
        self.changes.append(change)
