"""One function's module, imported as Lambda does: in a fresh interpreter state, with its environment set."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest


@dataclass
class Context:
    """What Powertools reads of a Lambda context."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111122223333:function:function"
    aws_request_id: str = "11111111-2222-3333-4444-555555555555"
    millis_left: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.millis_left


def import_function(name: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the handler module of function `name`, made anew under `environment`."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", name)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Leadscore")
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    sys.modules.pop(f"functions.{name}.handler", None)
    module = importlib.import_module(f"functions.{name}.handler")
    # A logger keeps the output of the moment it was first made in, which pytest has replaced since.
    module.logger.registered_handler.stream = sys.stdout
    return module
