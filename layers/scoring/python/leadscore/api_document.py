"""The OpenAPI document of the whole API, `openapi.json` beside this module, and what it says of a path.

It is written by hand and held to the code by tests: to the routes of the template, to every error that the code can
answer, and to real answers.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from leadscore.proxying import PEOPLE_PREFIX

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")


@cache
def document_text() -> str:
    """Return the document, as JSON."""
    return Path(__file__).with_name("openapi.json").read_text(encoding="utf-8")


@cache
def document_tag() -> str:
    """Return what changes with the document."""
    return sha256(document_text().encode()).hexdigest()[:16]


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that are served on a path such as `/leads/ada`, none where there is no such path."""
    is_for_people = path.startswith(f"{PEOPLE_PREFIX}/")
    asked = _segments(path.removeprefix(PEOPLE_PREFIX) if is_for_people else path)
    paths: dict[str, dict[str, Any]] = json.loads(document_text())["paths"]
    # A path that is named in full comes before one with a parameter.
    for known in sorted(paths, key=lambda known: known.count("{")):
        if _fits(asked, _segments(known)):
            served = [method for method in _METHODS if method in paths[known]]
            return tuple(m.upper() for m in served if not is_for_people or _is_for_people(paths[known], m))
    return ()


def _is_for_people(path: dict[str, Any], method: str) -> bool:
    servers = path[method].get("servers") or path.get("servers") or ()
    return any(server["url"].endswith(PEOPLE_PREFIX) for server in servers)


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _fits(asked: list[str], known: list[str]) -> bool:
    return len(asked) == len(known) and all(
        there.startswith("{") or here == there for here, there in zip(asked, known, strict=True)
    )
