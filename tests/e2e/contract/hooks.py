"""What schemathesis must know of the stage under test: who sends and who reads there.

Loaded by schemathesis' own process (`SCHEMATHESIS_HOOKS`), which finds the stage in `CONTRACT_STAGE`, as JSON.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis
from requests.auth import HTTPBasicAuth

from tests.e2e.contract.signing import Signed

STAGE = json.loads(os.environ["CONTRACT_STAGE"])  # noqa: TID251

_access_key, _secret_key = STAGE["reader"]
_signed = Signed(_access_key, _secret_key, STAGE["region"])
# Typed as the decorator that it is as well.
_auth: Any = schemathesis.auth
_auth.set_from_requests(_signed).apply_to(tag=["Read", "Erase", "Publish"]).apply_to(method="PUT")
_auth.set_from_requests(HTTPBasicAuth(STAGE["write_key"], "")).apply_to(tag="Send")
