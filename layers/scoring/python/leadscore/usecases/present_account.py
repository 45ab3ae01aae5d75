"""How an account stands at the moment that people are told of it, with those of its people whom they are told of.

Invariant: nobody is named of whom nobody is to be told; an account of whose people none may be named is not told of.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from leadscore.core.alerting import Standing, find_objection, standing_of
from leadscore.core.decay import to_points
from leadscore.core.instants import from_datetime
from leadscore.core.ruleset import Ruleset
from leadscore.usecases.account_people import PEOPLE_SHOWN, AccountPerson, read_standing
from leadscore.usecases.accounts import account_name, load_account_states
from leadscore.usecases.records import Reader


@dataclass(frozen=True, slots=True)
class PresentAccount:
    """An account as it stands now; `name` is empty where it is not known, `people` is how many it has.

    `shown` are those who add most of whom people may be told, with the points that each adds.
    """

    name: str
    standing: Standing
    people: int
    shown: tuple[tuple[AccountPerson, float], ...]

    @property
    def criteria(self) -> dict[str, float]:
        """The points of each criterion that counts, of all who are shown together."""
        factors = [factor for person, _ in self.shown for factor in person.score.factors if factor.points > 0]
        return dict(sum((Counter({one.criterion: one.points}) for one in factors), Counter[str]()))


def look_at_account(reader: Reader, ruleset: Ruleset, account: str, now: datetime) -> PresentAccount | None:
    """Return how an account stands now, None where it has nobody any more."""
    policy = ruleset.alerts
    found = read_standing(reader, ruleset, account, from_datetime(now), "total")
    if policy is None or not found.people:
        return None
    adding = [(one, to_points(units)) for one, units in zip(found.people, found.contributions, strict=True) if units]
    named = [(one, points) for one, points in adding if find_objection(policy, standing_of(one.score)) is None]
    fit = max((one.score.groups["fit"] for one, _ in named), default=0.0)
    counted = reader.load_ratings([account])[account].people
    return PresentAccount(
        name=account_name(load_account_states(reader, ruleset, [account]).get(account)),
        standing=Standing(found.tier, found.score, fit, nobody=not named),
        people=max(counted, len(found.people)),
        shown=tuple(named[:PEOPLE_SHOWN]),
    )
