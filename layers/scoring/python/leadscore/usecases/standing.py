"""How leads stand at an instant: stored states read, brought under the ruleset where needed, and scored."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from leadscore.core.changes import Person, Reason
from leadscore.core.explaining import explain_score
from leadscore.core.identity import Identity, display_id
from leadscore.core.instants import from_datetime, to_datetime
from leadscore.core.p_convert import CalibrationNote, PConvert
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score, score_state
from leadscore.core.state import AccountState, State
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.chances import NO_CHANCES, Chances
from leadscore.usecases.forest import find_lead, load_log, load_state, load_tree
from leadscore.usecases.records import Reader, StoredIdentity
from leadscore.usecases.timeline import Timeline, TimelineQuery, read_timeline

TOP_REASONS = 3
_NEWEST = TimelineQuery()


# Whether an account's traits at a past instant are surely those, or were read from its leads' logs, which is as good
# unless one of those has lost events, or are only the ones that have not changed since.
AccountTraits = Literal["exact", "replayed", "newest known"]


@dataclass(frozen=True, slots=True)
class AsOf:
    """The instant that a lead was asked for as of, and how well it is known.

    `log_begins` is set where the instant is before that: of what is older only the stored state may still know.
    """

    at: str
    log_begins: str | None
    account_traits: AccountTraits


@dataclass(frozen=True, slots=True)
class LeadView:
    """One lead as people read it. Personal data: do not log.

    `as_of` is set where an instant or a ruleset was asked for, `calibration` where neither was: a chance to convert is
    of now.
    """

    lead: str
    identities: list[str]
    state: State
    score: Score
    timeline: Timeline
    as_of: AsOf | None = None
    p_convert: PConvert | None = None
    calibration: CalibrationNote | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the view as plain JSON types: identities, traits, account, score, chance, explanation, timeline."""
        return {
            "id": self.lead,
            **({} if self.as_of is None else {"as_of": asdict(self.as_of)}),
            "identities": self.identities,
            "traits": self.state.traits,
            "account": self.state.account,
            "score": self.score.to_dict(),
            **self._chance(),
            "explanation": explain_score(self.score),
            "events": self.timeline.events,
            "next_cursor": self.timeline.next_cursor,
        }

    def _chance(self) -> dict[str, object]:
        if self.calibration is None:
            return {}
        chance = None if self.p_convert is None else self.p_convert.to_dict()
        return {"p_convert": chance, "calibration": self.calibration.to_dict()}


def read_lead(
    reader: Reader,
    ruleset: Ruleset,
    text: str,
    now: datetime,
    wanted: TimelineQuery = _NEWEST,
    chances: Chances = NO_CHANCES,
) -> LeadView | None:
    """Return the lead that `text` names by any of its identities, or None where nothing is known of it."""
    root = find_lead(reader, text)
    if root is None or root.erased:
        return None
    tree = load_tree(reader, root)
    log = load_log(reader, tree)
    state = load_state(reader, ruleset, root, from_datetime(now))
    account = load_account_states(reader, ruleset, [state.account]).get(state.account)
    score = score_now(state, account, now)
    return LeadView(
        lead=display_id(root.identity),
        identities=[one.identity for one in tree],
        state=state,
        score=score,
        timeline=read_timeline(log, wanted),
        p_convert=chances.of(score),
        calibration=chances.note,
    )


def score_leads(
    reader: Reader, ruleset: Ruleset, leads: Collection[Identity], at: datetime
) -> Iterator[tuple[StoredIdentity, State, Score]]:
    """Yield each of the leads that is a root with its state and its score as of `at`."""
    found = [one for one in reader.load_identities(leads).values() if one.body is not None]
    states = [(one, load_state(reader, ruleset, one, from_datetime(at))) for one in found]
    accounts = load_account_states(reader, ruleset, {state.account for _, state in states})
    for one, state in states:
        yield one, state, score_now(state, accounts.get(state.account), at)


def score_now(state: State, account: AccountState | None, at: datetime) -> Score:
    """Return the score as of `at`, or of the newest event where that is later, as skewed clocks make it."""
    newest = to_datetime(state.newest) if state.newest is not None else at
    return score_state(state, max(at, newest), account)


def describe_person(lead: str, state: State) -> Person:
    """Return who a lead is, from the traits that SDKs usually set."""
    traits = state.traits
    company = traits.get("company")
    full_name = " ".join(_text(traits.get(part)) for part in ("firstName", "lastName")).strip()
    return {
        "id": lead,
        "name": _text(traits.get("name")) or full_name,
        "email": _text(traits.get("email")),
        "title": _text(traits.get("title")),
        "company": _text(company.get("name") if isinstance(company, dict) else company),
    }


def top_reasons(ruleset: Ruleset, score: Score) -> list[Reason]:
    """Return the three factors that add most now, largest first, ties in ruleset order."""
    labels = {criterion.id: criterion.label or criterion.id for criterion in ruleset.criteria}
    positive = [factor for factor in score.factors if factor.points > 0]
    largest = sorted(positive, key=lambda factor: -factor.points)[:TOP_REASONS]
    return [
        {"criterion": factor.criterion, "label": labels[factor.criterion], "points": factor.points}
        for factor in largest
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
