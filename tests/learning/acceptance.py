"""What learning must hold to on companies whose truth is known: the same checks, few in `make test` and many by hand.

`python -m tests.learning` runs all of them at full size and prints what was reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import exp, sqrt

from leadscore import parse_ruleset
from leadscore.core.instants import DAY, from_datetime
from leadscore.learning.gating import Slices, Suggestion, suggest
from leadscore.learning.proportions import Z
from leadscore.learning.ranking_quality import auc, auc_difference
from leadscore.learning.samples import Grouped, PairCount, ScoreCount, ScoreRule, Tally, TimeSplit
from leadscore.learning.suggesting import Freedom, eligible, propose, weigh_jointly
from leadscore_cli.sample_company import TRUTH, WEEKS, SampleCompany, SampleLead, sample_ruleset

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
LABEL_WINDOW = 30 * DAY
# Parts of a conversion, so that a probability can be counted as one.
_PARTS = 10_000


@dataclass(slots=True)
class Recovery:
    """How close "start over" came to the truth, over seeds; every figure has one entry per criterion or per seed.

    `distances` are in Cramer-Rao bounds, after half a rounding step was taken off; `noise` those of the criteria that
    tell nothing, from 0, before rounding. `auc_losses` are the truth's AUC less the learned one on other leads.
    """

    distances: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    auc_losses: list[float] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        return sum(self.covered) / len(self.covered)


@dataclass(slots=True)
class Gated:
    """What the gate did, over seeds: the suggestions, and of those shown the expected effect on the last slice.

    An effect is the difference of the AUC that the leads of the slice would have on average if they converted anew.
    """

    suggestions: list[Suggestion] = field(default_factory=list)
    effects: list[float] = field(default_factory=list)
    hidden_effects: list[float] = field(default_factory=list)


def hand_made() -> ScoreRule:
    return ScoreRule.of(parse_ruleset(sample_ruleset()))


def reduce(rule: ScoreRule, leads: Iterable[SampleLead]) -> Grouped:
    """Return the sample of leads, each labelled by whether it ever converted."""
    places = {name: place for place, name in enumerate(rule.criteria)}
    tally = Tally(rule.criteria)
    for lead in leads:
        tally.add(((places[name], x) for name, x in lead.strengths.items()), converted=lead.converted is not None)
    return tally.grouped()


def reduce_slices(rule: ScoreRule, slices: Mapping[str, Iterable[SampleLead]]) -> Slices:
    """Return the samples of the leads of each slice."""
    return Slices(*(reduce(rule, slices[name]) for name in ("fit", "gate", "report")))


def recover(seeds: Iterable[int], leads: int) -> Recovery:
    """Learn by "start over" from a company of so many leads per seed, and hold it against the truth."""
    found = Recovery()
    rule = hand_made()
    for seed in seeds:
        company = SampleCompany(leads, UNTIL, seed=seed)
        people = list(company.people())
        sample = reduce(rule, people)
        bounds = cramer_rao(rule.criteria, people)
        worth = weigh_jointly(sample, rule, eligible(sample, rule, Freedom()))
        learned = propose(sample, rule, "start over").rule
        for name, points, bound in zip(rule.criteria, learned.points, bounds, strict=True):
            error = abs(points * worth.per_point - TRUTH[name])
            found.distances.append((error - worth.per_point / 2) / bound)
            one = worth.log_odds[name]
            found.covered.append(abs(one.value - TRUTH[name]) <= Z * one.error)
            if TRUTH[name] == 0:
                found.noise.append(abs(one.value) / bound)
        found.auc_losses.append(_auc_loss(learned, replace(company, seed=seed + 1_000)))
    return found


def _auc_loss(rule: ScoreRule, company: SampleCompany) -> float:
    """Return by how much the AUC of a rule is below that of the true log-odds, on the leads of a company."""
    people = list(company.people())
    true = auc([ScoreCount(lead.log_odds, 1, int(lead.converted is not None)) for lead in people])
    learned = auc(reduce(rule, people).scores(rule))
    assert true is not None
    assert learned is not None
    return true.value - learned.value


def cramer_rao(criteria: Sequence[str], people: Iterable[SampleLead]) -> list[float]:
    """Return the least standard error that an unbiased estimate of each criterion's log-odds can have.

    The roots of the diagonal of the inverse Fisher information at the truth, the intercept being unknown too.
    """
    places = {name: place for place, name in enumerate(criteria, 1)}
    size = len(criteria) + 1
    information = [[0.0] * size for _ in range(size)]
    for lead in people:
        p = 1 / (1 + exp(-lead.log_odds))
        features = [(0, 1.0), *((places[name], x) for name, x in lead.strengths.items())]
        for place, x in features:
            line, weight = information[place], p * (1 - p) * x
            for other, y in features:
                line[other] += weight * y
    return [sqrt(inverse[place]) for place, inverse in enumerate(invert(information)) if place]


def invert(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the inverse of a positive definite matrix, by Gauss and Jordan."""
    size = len(matrix)
    work = [[*line, *(float(row == column) for column in range(size))] for row, line in enumerate(matrix)]
    for pivot in range(size):
        work[pivot] = [value / work[pivot][pivot] for value in work[pivot]]
        for row in range(size):
            if row != pivot:
                factor = work[row][pivot]
                work[row] = [a - factor * b for a, b in zip(work[row], work[pivot], strict=True)]
    return [line[size:] for line in work]


def split_of(company: SampleCompany) -> TimeSplit:
    """Return a split of the company's year: 60 % of it to learn from, 20 % to judge by, the last 20 % to report on."""
    start = from_datetime(company.until - timedelta(weeks=WEEKS))
    year = WEEKS * 7 * DAY
    return TimeSplit(start + year * 6 // 10, start + year * 8 // 10, LABEL_WINDOW)


def slices_of(company: SampleCompany) -> dict[str, list[SampleLead]]:
    """Return the leads of each slice, by when they were scored."""
    split = split_of(company)
    slices: dict[str, list[SampleLead]] = {"fit": [], "gate": [], "report": []}
    for lead in company.people():
        name = split.slice_of(lead.scored)
        if name is not None:
            slices[name].append(lead)
    return slices


def scenarios(seeds: Iterable[int], leads: int) -> Iterator[tuple[SampleCompany, ScoreRule]]:
    """Yield companies in turn: steady; with the right points already; with a falling base rate; with two that move.

    The last two lose what a trial was worth in the course of the year, or see students turn into buyers.
    """
    right = {name: round(value * 14) or 1 for name, value in TRUTH.items()}
    for seed in seeds:
        company = SampleCompany(leads, UNTIL, seed=seed)
        yield from [
            [(company, hand_made())],
            [(company, hand_made().with_points(right))],
            [(replace(company, base_drift=-1.0), hand_made())],
            [(replace(company, drift={"free-trial": -1.6}), hand_made())],
            [(replace(company, drift={"student": 2.4, "teammate": -1.5}), hand_made())],
        ][seed % 5]


def gate(seeds: Iterable[int], leads: int) -> Gated:
    """Look for fewest changes in one company per seed, and see what the gate lets through."""
    outcome = Gated()
    for company, rule in scenarios(seeds, leads):
        slices = slices_of(company)
        suggestion = suggest(reduce_slices(rule, slices), rule)
        outcome.suggestions.append(suggestion)
        effects = outcome.effects if suggestion.shown else outcome.hidden_effects
        if suggestion.changes:
            effects.append(expected_effect(slices["report"], suggestion.rule, rule))
    return outcome


def expected_effect(people: Iterable[SampleLead], rule: ScoreRule, present: ScoreRule) -> float:
    """Return by how much the AUC of one rule is above another's on leads, each counted by its true probability."""
    places = {name: place for place, name in enumerate(rule.criteria)}
    pairs = []
    for lead in people:
        pattern = tuple(sorted((places[name], round(x * 16)) for name, x in lead.strengths.items()))
        parts = round(_PARTS / (1 + exp(-lead.log_odds)))
        pairs.append(PairCount(rule.total_of(pattern), present.total_of(pattern), _PARTS, parts))
    difference = auc_difference(pairs)
    assert difference is not None
    return difference.value
