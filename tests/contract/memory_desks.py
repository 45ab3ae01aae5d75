"""The use cases' desks in memory, held to the same contract tests as the DynamoDB adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from leadscore.core.alert_desk import Desk
from leadscore.core.instants import Millis, format_instant
from leadscore.core.verdicts import Verdict
from leadscore.usecases.alert_records import (
    AccountChangeRecord,
    AlertRecord,
    ChangeKey,
    ChangeRecord,
    Settled,
    StoredDesk,
)
from leadscore.usecases.records import ConflictError


class MemoryDesks:
    """Desks and records as dictionaries."""

    def __init__(self) -> None:
        self.desks: dict[str, StoredDesk] = {}
        self.changes: dict[ChangeKey, ChangeRecord] = {}
        self.account_changes: dict[ChangeKey, AccountChangeRecord] = {}
        self.alerts: dict[str, AlertRecord] = {}

    def load(self, name: str) -> StoredDesk:
        return self.desks.get(name, StoredDesk(Desk(name)))

    def save(self, stored: StoredDesk) -> None:
        if self.load(stored.desk.name).version != stored.version - 1:
            raise ConflictError("a desk was written since it was read")
        self.desks[stored.desk.name] = replace(stored, desk=Desk.from_json(stored.desk.to_json()))

    def note(self, record: ChangeRecord | AccountChangeRecord) -> None:
        if isinstance(record, ChangeRecord):
            self.changes.setdefault(record.key, record)
        else:
            self.account_changes.setdefault(record.key, record)

    def settle(self, settled: Settled) -> None:
        for key in settled.keys:
            if key in self.changes:
                known = self.changes[key]
                alert = settled.alert or known.alert
                self.changes[key] = replace(known, outcome=settled.outcome, reason=settled.reason, alert=alert)
            if key in self.account_changes:
                of_account = self.account_changes[key]
                alert = settled.alert or of_account.alert
                self.account_changes[key] = replace(
                    of_account, outcome=settled.outcome, reason=settled.reason, alert=alert
                )

    def put_alert(self, alert: AlertRecord) -> None:
        self.alerts[alert.id] = alert

    def mark_sent(self, alert: str, at: Millis) -> None:
        self.alerts[alert] = replace(self.alerts[alert], sent_at=at)

    def find_alert(self, alert: str) -> AlertRecord | None:
        return self.alerts.get(alert)

    def put_verdict(self, alert: str, lead: str, verdict: Verdict) -> None:
        record = self.alerts.get(alert)
        if record is None or (lead in record.verdicts and record.verdicts[lead].at > verdict.at):
            return
        self.alerts[alert] = replace(record, verdicts={**record.verdicts, lead: verdict})

    def changes_of(self, pseudonym: str) -> list[ChangeRecord]:
        return [record for key, record in self.changes.items() if key.lead == pseudonym]

    def walk_due(self, until: Millis) -> Iterator[str]:
        due = [(one.due, name) for name, one in self.desks.items() if one.due is not None and one.due <= until]
        return (name for _, name in sorted(due))

    def walk_changes(self, since: str = "0") -> Iterator[ChangeRecord]:
        newest_first = sorted(self.changes.values(), key=lambda one: (one.change.at, one.key.change), reverse=True)
        return (one for one in newest_first if one.change.at >= since)

    def walk_account_changes(self, since: str = "0") -> Iterator[AccountChangeRecord]:
        newest_first = sorted(self.account_changes.values(), key=lambda one: one.change.at, reverse=True)
        return (one for one in newest_first if one.change.at >= since)

    def walk_alerts(self, since: str = "0") -> Iterator[AlertRecord]:
        newest_first = sorted(self.alerts.values(), key=lambda one: (one.sealed_at, one.id), reverse=True)
        return (one for one in newest_first if format_instant(one.sealed_at) >= since)
