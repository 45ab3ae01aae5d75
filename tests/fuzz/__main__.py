"""`python -m tests.fuzz SECONDS`: coverage-guided fuzzing of the doors that are open to strangers, from the corpus on.

What breaks a promise is written into the corpus, where every test run replays it from then on. What merely reaches new
code is kept in `.build/fuzz`, so that the next run goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
except ImportError:
    sys.exit("atheris is not installed: it has wheels for Linux on x86-64 alone")

with atheris.instrument_imports(include=["leadscore", "jmespath"], enable_loader_override=False):
    from tests.fuzz import doors

_SCRATCH = doors.ROOT / ".build" / "fuzz"
# Names and texts that chance would hardly come upon.
_WORDS = (
    *("batch", "context", "traits", "properties", "type", "event", "name", "category", "userId", "anonymousId"),
    *("groupId", "previousId", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey"),
    *("externalIds", "externalId", "collection", "users", "encoding", "id", "email", "crm", "stripe", "ip"),
    *("identify", "track", "page", "screen", "group", "alias", "detail", "detail-type", "source", "time", "app.fuzz"),
    *("texts", "numbers", "things", "user", "more", "visitor", "n", "key", "number", "refresh", "account", "after"),
    *("aws.partner/stripe.com/x", "aws.partner/segment.com/x", "aws.partner/auth0.com/x", "created", "data", "object"),
    *("customer.subscription.created", "invoice.paid", "status", "trialing", "customer", "metadata", "user_id"),
    *("null", "-1", "anonymous", "0", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *("__proto__", "constructor", "toString", "Authorization: Basic azo=", "SentAt: ", "X-Write-Key: k", "/batch"),
    *("NaN", "Infinity", "1e400", "-1e-400", "9" * 310, "\\ud800", "\\udc00", "\\u0000", "true", "{}", "[]", "POST /"),
)


def main() -> None:
    """Fuzz for a number of seconds; ends with 0 only if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("seconds", type=int)
    parser.add_argument("--scratch", type=Path, default=_SCRATCH, help="where what reaches new code is kept")
    chosen = parser.parse_args()
    kept = chosen.scratch / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    words = chosen.scratch / "words.dict"
    words.write_text("".join(f"{_quoted(word)}\n" for word in _WORDS), encoding="ascii")
    folders = [kept, doors.CORPUS]
    options = {
        "max_total_time": chosen.seconds,
        "max_len": 4096,
        "timeout": 20,
        "rss_limit_mb": 1024,
        "dict": words,
        "artifact_prefix": f"{doors.CORPUS}/",
        "print_final_stats": 1,
        "verbosity": 1,
    }
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), *map(str, folders)], _once)
    atheris.Fuzz()


def _once(raw: bytes) -> None:
    doors.check(raw)


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    main()
