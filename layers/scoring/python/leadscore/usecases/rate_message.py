"""The message that an account is to be rated anew; light, as functions send it that never rate."""

from __future__ import annotations

import json
from dataclasses import dataclass

# How long the message waits before it comes into sight: the index of an account's people lags behind their writes by
# moments, and an account whose people are busy is rated once for several of their writes that one batch brings.
RATING_DELAY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Rate:
    """The message that an account's score may be another; a tier that an import alone has changed is no news."""

    account: str
    imported: bool = False

    def body(self) -> str:
        """Return the text of the message."""
        return json.dumps({"rate": self.account, **({"imported": True} if self.imported else {})})
