"""The pages behind the links of an alert: one that asks, one that thanks, one for a link that leads nowhere.

Invariants: nothing of the request is in a page, and nothing of the lead: each text is one of those written here. A page
loads nothing, runs nothing and sends its form to its own address, which the browser keeps, token and all.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping

from leadscore.core.verdicts import REASON_CHARACTERS, VerdictKind

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:28rem;padding:0 1rem;color:#1a1a1a}"
    "h1{font-size:1.4rem}label{display:block;margin:1rem 0}input{box-sizing:border-box;width:100%;font:inherit;"
    "padding:.5rem}button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:4px;background:#14532d;color:#fff}"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Robots-Tag": "noindex",
}
_ASKED: Mapping[VerdictKind, tuple[str, str, str]] = {
    "good": ("Was this alert right?", "It was worth hearing of.", "Yes, it was good"),
    "junk": ("Was this alert junk?", "It was not worth hearing of.", "Yes, it was junk"),
    "snooze": ("Hear nothing for a week?", "Nobody is told of this lead for seven days.", "Snooze for a week"),
}
_SAID: Mapping[VerdictKind, str] = {
    "good": "It is on record as a good alert.",
    "junk": "It is on record as junk.",
    "snooze": "Nobody is told of this lead for seven days.",
}


def asking_page(kind: VerdictKind) -> str:
    """Return the page whose button says the verdict."""
    title, meaning, button = _ASKED[kind]
    form = (
        f'<form method="post"><label>Why, if you like (no names)<input name="reason" maxlength="{REASON_CHARACTERS}" '
        f'autocomplete="off"></label><button>{button}</button></form>'
    )
    return _page(title, f"<p>{meaning}</p>{form}")


def thanking_page(kind: VerdictKind) -> str:
    """Return the page after a verdict was written down."""
    return _page("Thank you", f"<p>{_SAID[kind]} You can close this page.</p>")


def refusing_page(message: str) -> str:
    """Return the page for what cannot be done; `message` is a text of ours."""
    return _page("This did not work", f"<p>{message}</p>")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"
    )
