"""The use cases' store in memory, held to the same contract tests as the DynamoDB adapter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from leadscore.core.changes import Change
from leadscore.core.instants import Millis
from leadscore.usecases.records import (
    Event,
    KnownEventsError,
    LeadCommit,
    StoredAccount,
    StoredLead,
    VersionConflictError,
)


class MemoryStore:
    """Leads, accounts and the log as dictionaries; a commit happens whole or not at all."""

    def __init__(self) -> None:
        self.leads: dict[str, StoredLead] = {}
        self.accounts: dict[str, StoredAccount] = {}
        self.log: dict[tuple[str, str], Event] = {}

    def load_lead(self, lead: str) -> StoredLead | None:
        return self.leads.get(lead)

    def load_leads(self, leads: Sequence[str]) -> dict[str, StoredLead]:
        return {lead: self.leads[lead] for lead in leads if lead in self.leads}

    def load_accounts(self, accounts: Iterable[str]) -> dict[str, StoredAccount]:
        return {name: self.accounts[name] for name in accounts if name in self.accounts}

    def load_events(self, lead: str) -> list[Event]:
        return [event for (owner, _), event in self.log.items() if owner == lead]

    def walk_ranking(self) -> Iterator[tuple[int, str]]:
        yield from sorted(((stored.rank_key, lead) for lead, stored in self.leads.items()), reverse=True)

    def walk_due(self, until: Millis) -> Iterator[str]:
        due = [(stored.due, lead) for lead, stored in self.leads.items() if stored.due is not None]
        yield from (lead for at, lead in sorted(due) if at <= until)

    def append_event(self, lead: str, event: Event) -> None:
        self.log.setdefault((lead, str(event["messageId"])), event)

    def commit(self, commit: LeadCommit) -> None:
        lead = commit.lead.lead
        known = frozenset(str(e["messageId"]) for e in commit.events if (lead, str(e["messageId"])) in self.log)
        if known:
            raise KnownEventsError(known)
        before = self.leads.get(lead)
        versions = [(before.version if before else 0, commit.lead.version)]
        for account in commit.accounts:
            held = self.accounts.get(account.account)
            versions.append((held.version if held else 0, account.version))
        if any(new != old + 1 for old, new in versions):
            raise VersionConflictError("the lead or an account was written since it was read")
        self.log |= {(lead, str(event["messageId"])): event for event in commit.events}
        pending = (before.pending if before else ()) + commit.lead.pending
        self.leads[lead] = replace(commit.lead, pending=pending)
        self.accounts |= {account.account: account for account in commit.accounts}

    def pending(self, lead: str) -> tuple[Change, ...]:
        return self.leads[lead].pending if lead in self.leads else ()

    def clear_pending(self, lead: str, ids: Sequence[str]) -> None:
        stored = self.leads[lead]
        self.leads[lead] = replace(stored, pending=tuple(c for c in stored.pending if c.id not in ids))
