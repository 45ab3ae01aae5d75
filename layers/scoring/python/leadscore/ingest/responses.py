"""What the front door answers, in the shape of a proxy integration and in the terms that SDKs understand.

Exactly 200 for what was taken: three SDKs send it all again on 202 or 204. Every other answer is JSON with `code` and
`message`: without `code` two SDKs retry for minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypedDict

from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.sdk_documents import Document
from leadscore.security_headers import SECURITY_HEADERS
from leadscore.usecases.ingesting import Receipt

_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    # Also to a key that is bound to origins: the browser's rule is not what guards it, and its pages must see why.
    "Access-Control-Allow-Origin": "*",
    # A browser SDK that cannot read it retries in 0.2 s.
    "Access-Control-Expose-Headers": "Retry-After",
}
_RETRY_AFTER_SECONDS = 1


class ProxyResponse(TypedDict):
    """A response as API Gateway takes it from a Lambda function."""

    statusCode: int
    headers: dict[str, str]
    body: str
    isBase64Encoded: bool


def answer_receipt(receipt: Receipt) -> ProxyResponse:
    """Return 200 with what was accepted and rejected; a request of one event that was rejected gets its 400."""
    if receipt.single and receipt.rejected:
        only = receipt.rejected[0]
        return _respond(400, {"code": only.code, "message": only.message})
    rejected = [{"index": r.index, "code": r.code, "message": r.message} for r in receipt.rejected]
    return _respond(200, {"success": True, "accepted": receipt.accepted, "rejected": rejected})


def answer_document(document: Document, *, head: bool = False) -> ProxyResponse:
    """Return 200 with the document, or for HEAD with what would come with it."""
    response = _respond(200, document.content)
    if document.cache_seconds:
        response["headers"]["Cache-Control"] = f"public, max-age={document.cache_seconds}"
    return {**response, "body": ""} if head else response


def answer_refusal(refusal: RequestRefusedError) -> ProxyResponse:
    """Return the refusal's status, code and message; a 5xx says when to come back."""
    response = _respond(refusal.status, {"code": refusal.code, "message": refusal.message})
    if refusal.status >= 500:
        response["headers"]["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    if refusal.allowed:
        response["headers"]["Allow"] = ", ".join(refusal.allowed)
    return response


def _respond(status: int, body: Mapping[str, object]) -> ProxyResponse:
    text = json.dumps(body, separators=(",", ":"))
    return {"statusCode": status, "headers": dict(_HEADERS), "body": text, "isBase64Encoded": False}
