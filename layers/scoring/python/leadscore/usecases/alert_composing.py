"""What an alert says, to people and on record, of what was sealed and of how its leads and its account stand.

Nothing is read here and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from leadscore.core.alert_desk import Desk, Sealed, Waiting
from leadscore.core.alerts import (
    AccountMove,
    Alert,
    AlertAccount,
    AlertedLead,
    AlertReason,
    suggest_next_step,
)
from leadscore.core.identity import display_id
from leadscore.core.instants import format_instant
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.usecases.account_people import AccountPerson
from leadscore.usecases.alert_records import AlertRecord, Entry
from leadscore.usecases.chances import Chances
from leadscore.usecases.feedback import verdict_links
from leadscore.usecases.present import Present, text_of
from leadscore.usecases.present_account import PresentAccount
from leadscore.usecases.standing import describe_person, top_reasons

# What stands for the lead's id in the address of its page.
PLACE_OF_ID = "{id}"


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes alerts; their links begin with `feedback_url`, and lead to `lead_page` with the id in it."""

    ruleset: Ruleset
    chances: Chances
    lead_page: str | None
    feedback_url: str
    stage: str | None

    def compose(
        self,
        sealed: Sealed,
        record: AlertRecord,
        present: Mapping[str, Present],
        account: PresentAccount | None,
    ) -> Alert | None:
        """Return the alert about those of its leads that there still are, None where there are none.

        Where an account alone is told of, they are those of its people who make it what it is.
        """
        told = [(waiting, present[waiting.lead]) for waiting in sealed.leads if waiting.lead in present]
        asked = next((one for one in sealed.leads if one.is_account), None) if account is not None else None
        if told:
            leads = tuple(self._lead(waiting, one, record) for waiting, one in told)
            name = _account_name(told[0][1], leads[0])
        elif account is not None and asked is not None:
            leads = tuple(self._person(asked, person, points, record) for person, points in account.shown)
            name = account.name or leads[0].person["company"]
        else:
            return None
        move = None if account is None or asked is None else _move_of(asked, account)
        return Alert(
            id=sealed.id,
            kind=sealed.kind if told else "account",
            at=format_instant(sealed.at),
            account=None if record.account is None else AlertAccount(record.account, name, move),
            leads=leads,
            ruleset=self.ruleset.version,
            calibration=self.chances.note,
            stage=self.stage,
        )

    def _lead(self, waiting: Waiting, one: Present, record: AlertRecord) -> AlertedLead:
        lead, main = display_id(one.root.identity), waiting.main
        person, reasons = describe_person(lead, one.state), _reasons(self.ruleset, one.score)
        return AlertedLead(
            person=person,
            owner=one.text("owner"),
            source=one.text("source"),
            cause=main.cause,
            event=main.event,
            tier=one.score.tier,
            previous_tier=main.previous_tier,
            score=one.score.total,
            previous_score=main.previous_score,
            groups=one.score.groups,
            p_convert=self.chances.of(one.score),
            reasons=reasons,
            reason=main.reason,
            at=format_instant(main.at),
            next_step=suggest_next_step(person, main.event, reasons),
            links={**lead_links(self.lead_page, lead), **verdict_links(self.feedback_url, record, waiting.lead)},
        )

    def _person(self, asked: Waiting, one: AccountPerson, points: float, record: AlertRecord) -> AlertedLead:
        """Return one of those who make an account hot; it has not changed itself."""
        lead = display_id(one.identity)
        person, reasons = describe_person(lead, one.state), _reasons(self.ruleset, one.score)
        return AlertedLead(
            person=person,
            owner=text_of(one.state, "owner"),
            source=text_of(one.state, "source"),
            tier=one.score.tier,
            previous_tier=one.score.tier,
            score=one.score.total,
            previous_score=one.score.total,
            groups=one.score.groups,
            p_convert=self.chances.of(one.score),
            reasons=reasons,
            reason=f"adds {points:.1f} to what its account scores",
            at=format_instant(asked.main.at),
            next_step=suggest_next_step(person, None, reasons),
            links={**lead_links(self.lead_page, lead), **verdict_links(self.feedback_url, record, asked.lead)},
        )


def lead_links(page: str | None, lead: str) -> Mapping[str, str]:
    """Return the address of a lead's page in another tool, whose address has `{id}` in it, as `lead`; or nothing."""
    return {} if page is None else {"lead": page.replace(PLACE_OF_ID, quote(lead, safe=""))}


def make_record(
    desk: str, sealed: Sealed, present: Mapping[str, Present], account: PresentAccount | None, token: str
) -> AlertRecord:
    """Return the record of what is sealed at a desk, as its leads and its account stand; `token` is in its links."""
    of_account = [] if account is None else [_account_entry(one, account) for one in sealed.leads if one.is_account]
    of_people = [_entry(one, present[one.lead]) for one in sealed.leads if one.lead in present]
    return AlertRecord(
        id=sealed.id,
        kind=sealed.kind,
        account=Desk(desk).account,
        desk=desk,
        sealed_at=sealed.at,
        # The account comes first, as in what is sealed.
        entries=[*of_account, *of_people],
        token=token,
    )


def _entry(waiting: Waiting, one: Present) -> Entry:
    return Entry(
        lead=waiting.lead,
        cause=waiting.main.cause,
        tier=one.score.tier,
        score=one.score.total,
        criteria={factor.criterion: factor.points for factor in one.score.factors if factor.points > 0},
        owner=one.text("owner"),
    )


def _account_entry(waiting: Waiting, account: PresentAccount) -> Entry:
    standing = account.standing
    owner = text_of(account.shown[0][0].state, "owner")
    return Entry(waiting.lead, waiting.main.cause, standing.tier, standing.total, account.criteria, owner)


def _move_of(asked: Waiting, account: PresentAccount) -> AccountMove:
    return AccountMove(
        tier=account.standing.tier,
        previous_tier=asked.main.previous_tier or account.standing.tier,
        score=account.standing.total,
        previous_score=asked.main.previous_score,
        people=account.people,
    )


def _reasons(ruleset: Ruleset, score: Score) -> tuple[AlertReason, ...]:
    last = {factor.criterion: factor.occurrences[-1] for factor in score.factors if factor.occurrences}
    return tuple(
        AlertReason(
            reason["criterion"],
            reason["label"],
            reason["points"],
            format_instant(last[reason["criterion"]].time) if reason["criterion"] in last else None,
        )
        for reason in top_reasons(ruleset, score)
    )


def _account_name(one: Present, lead: AlertedLead) -> str:
    name = None if one.account is None else one.account.traits.get("name")
    return name if isinstance(name, str) else lead.person["company"]
