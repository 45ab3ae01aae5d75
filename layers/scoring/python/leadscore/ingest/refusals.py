"""The one way in which a whole request is refused: a status with a code for machines and a message for people."""

from __future__ import annotations


class RequestRefusedError(Exception):
    """A request of which nothing was taken; neither `code` nor `message` contains anything that the client sent.

    `source` is the one whose key the request came by, where that is known; `allowed` are the methods to use instead.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.source: str | None = None
        self.allowed: tuple[str, ...] = ()
