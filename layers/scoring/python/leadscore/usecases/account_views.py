"""How one account stands, as people read it: its score, exact at the instant, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leadscore.core.changes import Person
from leadscore.core.decay import to_points
from leadscore.core.identity import display_id
from leadscore.core.instants import format_instant, from_datetime
from leadscore.core.rolling import MOST_COUNTED
from leadscore.core.ruleset import RollUpKind, Ruleset
from leadscore.usecases.account_people import AccountPerson, Standing, read_standing
from leadscore.usecases.accounts import account_name, load_account_states
from leadscore.usecases.records import Reader
from leadscore.usecases.standing import describe_person


@dataclass(frozen=True, slots=True)
class Contribution:
    """One person of an account, with what it adds to the account's score. Personal data: do not log."""

    person: Person
    score: float
    tier: str
    contribution: float

    @classmethod
    def of(cls, person: AccountPerson, units: int) -> Contribution:
        """Return the person as one that adds so many units."""
        described = describe_person(display_id(person.identity), person.state)
        return cls(described, person.score.total, person.score.tier, to_points(units))

    def to_dict(self) -> dict[str, object]:
        """Return the person as plain JSON types."""
        return {**self.person, "score": self.score, "tier": self.tier, "contribution": self.contribution}


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account as people read it; the contributions add up to its score. Personal data: do not log.

    `people` are those who count, `people_total` all there are, where 1000 stands for 1000 or more.
    """

    account: str
    name: str
    traits: dict[str, object]
    at: str
    version: str
    roll_up: RollUpKind
    score: float
    tier: str
    people: list[Contribution]
    people_total: int

    def to_dict(self) -> dict[str, object]:
        """Return the view as plain JSON types."""
        return {
            "id": self.account,
            "name": self.name,
            "traits": self.traits,
            "at": self.at,
            "version": self.version,
            "roll_up": self.roll_up,
            "score": self.score,
            "tier": self.tier,
            "people": [person.to_dict() for person in self.people],
            "people_total": self.people_total,
            "truncated": self.people_total > len(self.people),
        }


def read_account(reader: Reader, ruleset: Ruleset, name: str, now: datetime) -> AccountView | None:
    """Return the account of that id as of `now`, or None where nothing was ever heard of it."""
    at = from_datetime(now)
    standing = read_standing(reader, ruleset, name, at, "people")
    state = load_account_states(reader, ruleset, [name]).get(name)
    if state is None and not standing.people_total:
        return None
    return AccountView(
        account=name,
        name=account_name(state),
        traits=dict(state.traits) if state is not None else {},
        at=format_instant(at),
        version=ruleset.version,
        roll_up=ruleset.accounts.kind,
        score=standing.score,
        tier=standing.tier,
        people=largest(standing, MOST_COUNTED),
        people_total=standing.people_total,
    )


def largest(standing: Standing, most: int) -> list[Contribution]:
    """Return those who add most, so many at most; they are those who score highest."""
    shown = zip(standing.people[:most], standing.contributions[:most], strict=True)
    return [Contribution.of(person, units) for person, units in shown]
