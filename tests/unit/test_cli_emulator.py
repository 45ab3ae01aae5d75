"""The emulator's own process: what it changes about the emulator."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from leadscore_cli import emulator_process

POLLER = "ministack.services.lambda_svc"


def test_what_looks_into_the_queues_can_be_kept_from_resting(monkeypatch: pytest.MonkeyPatch) -> None:
    poller = ModuleType(POLLER)
    vars(poller)[emulator_process._REST] = 0.05
    monkeypatch.setitem(sys.modules, POLLER, poller)
    emulator_process._look_into_queues_without_rest()
    assert vars(poller)[emulator_process._REST] == 0


def test_an_emulator_without_that_rest_is_an_error_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, POLLER, ModuleType(POLLER))
    with pytest.raises(RuntimeError, match=emulator_process._REST):
        emulator_process._look_into_queues_without_rest()


def test_the_emulator_that_is_installed_has_that_rest() -> None:
    found = importlib.util.find_spec("ministack")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).parent.joinpath("services", "lambda_svc.py").read_text(encoding="utf-8")
    assert f"\n{emulator_process._REST} = " in source
