"""How leads stand at an instant: stored states read, brought under the ruleset where needed, and scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from leadscore.core.changes import Person, Reason
from leadscore.core.explaining import explain_score
from leadscore.core.instants import to_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score, score_state
from leadscore.core.state import AccountState, StaleState, State, advance
from leadscore.usecases.records import Event, LeadReader, StoredLead

RECENT_EVENTS = 50
TOP_REASONS = 3


@dataclass(frozen=True, slots=True)
class LeadView:
    """One lead as people read it. May contain personal data: do not log."""

    lead: str
    state: State
    score: Score
    events: list[Event]

    def to_dict(self) -> dict[str, object]:
        """Return the view as plain JSON types: traits, account, score with factors, explanation, recent events."""
        return {
            "id": self.lead,
            "traits": self.state.traits,
            "account": self.state.account,
            "score": self.score.to_dict(),
            "explanation": explain_score(self.score),
            "events": self.events,
        }


def read_lead(reader: LeadReader, ruleset: Ruleset, lead: str, at: datetime) -> LeadView | None:
    """Return one lead as of `at` with its newest events, or None where nothing is known of it."""
    stored = reader.load_lead(lead)
    log = reader.load_events(lead)
    if stored is None and not log:
        return None
    state = load_state(reader, ruleset, stored)
    account = load_accounts(reader, ruleset, [state.account] if state.account else [])
    score = score_now(state, account.get(state.account or ""), at)
    newest = sorted(log, key=lambda event: (event["timestamp"], event["messageId"]), reverse=True)
    return LeadView(lead, state, score, newest[:RECENT_EVENTS])


def score_leads(
    reader: LeadReader, ruleset: Ruleset, leads: Sequence[str], at: datetime
) -> Iterator[tuple[StoredLead, State, Score]]:
    """Yield each existing lead of up to 100 with its state and its score as of `at`."""
    found = reader.load_leads(leads)
    states = {lead: load_state(reader, ruleset, stored) for lead, stored in found.items()}
    accounts = load_accounts(reader, ruleset, {state.account for state in states.values() if state.account})
    for lead, state in states.items():
        yield found[lead], state, score_now(state, accounts.get(state.account or ""), at)


def load_state(reader: LeadReader, ruleset: Ruleset, stored: StoredLead | None) -> State:
    """Return the stored state under `ruleset`, replayed from the log where it was made under other patterns."""
    if stored is None:
        return State.empty(ruleset)
    try:
        return State.from_json(ruleset, stored.state)
    except StaleState:
        return advance(State.empty(ruleset), reader.load_events(stored.lead))


def load_accounts(reader: LeadReader, ruleset: Ruleset, names: Iterable[str]) -> dict[str, AccountState]:
    """Return those of the named accounts that are known."""
    return {name: AccountState.from_json(ruleset, stored.state) for name, stored in reader.load_accounts(names).items()}


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
