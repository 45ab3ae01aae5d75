"""Parameter Store, read at most once per time to live: what is published there reaches every warm function by then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class CachedParameter[T]:
    """One parameter, parsed once per value; a value that does not parse raises, and is tried again on the next read.

    A `secret` one is a SecureString, which is decrypted.
    """

    def __init__(
        self,
        client: SSMClient,
        name: str,
        *,
        parse: Callable[[str], T],
        ttl_seconds: int,
        clock: Callable[[], datetime],
        secret: bool = False,
    ) -> None:
        self._client = client
        self._name = name
        self._parse = parse
        self._ttl = timedelta(seconds=ttl_seconds)
        self._clock = clock
        self._secret = secret
        self._held: tuple[str, T] | None = None
        self._fresh_until: datetime | None = None

    def value(self) -> T:
        """Return the parameter's parsed value, at most `ttl_seconds` old; parsing again only what has changed."""
        now = self._clock()
        if self._held is not None and self._fresh_until is not None and now < self._fresh_until:
            return self._held[1]
        text = self._client.get_parameter(Name=self._name, WithDecryption=self._secret)["Parameter"]["Value"]
        if self._held is None or self._held[0] != text:
            self._held = (text, self._parse(text))
        self._fresh_until = now + self._ttl
        return self._held[1]
