"""Requests that the gateway has no route for: it hands them all to `ingest`, which can read nothing of any lead."""

from __future__ import annotations

from leadscore.ingest.refusals import RequestRefusedError

# The resources of the gateway that catch what no other one takes.
CATCH_ALL = frozenset({"/", "/{proxy+}"})


def refuse_unrouted(method: str, path: str) -> RequestRefusedError:
    """Return 405 for a path that is served by other methods, which the refusal then names, else 404.

    What the document has and the gateway has not, a stage goes without: people, where there is no user pool.
    """
    # Imported where it is needed: a request that the gateway knows never comes here, and a cold start pays for all.
    from leadscore.api_document import methods_of

    allowed = methods_of(path)
    if not allowed or method in allowed:
        return RequestRefusedError(404, "not_found", "there is no such path")
    refusal = RequestRefusedError(405, "method_not_allowed", f"this path is served by {', '.join(allowed)}")
    refusal.allowed = allowed
    return refusal
