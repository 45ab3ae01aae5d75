"""What was posted to a route, kept in memory: the fake of the use case's tests."""

from __future__ import annotations

from leadscore.usecases.posting import Beginning


class MemoryPosts:
    """The use case's PostMemory; `crashes` is how often noting that an alert is posted dies."""

    def __init__(self, crashes: int = 0) -> None:
        self.tries: dict[str, int] = {}
        self.posted: set[str] = set()
        self.threads: dict[str, str] = {}
        self.crashes = crashes

    def begin(self, alert: str) -> Beginning:
        if alert in self.posted:
            return "posted"
        if self.tries.get(alert, 0) >= 2:
            return "unknown"
        self.tries[alert] = self.tries.get(alert, 0) + 1
        return "begun"

    def withdraw(self, alert: str) -> None:
        self.tries[alert] -= 1

    def finish(self, alert: str, account: str | None, post: str | None) -> None:
        if self.crashes:
            self.crashes -= 1
            raise TimeoutError
        self.posted.add(alert)
        if account and post:
            self.threads[account] = post

    def thread(self, account: str) -> str | None:
        return self.threads.get(account)
