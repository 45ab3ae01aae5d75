"""Whatever arrives at either door keeps the promises of `doors.check`: the corpus, Hypothesis, and atheris for a while.

A file of the corpus is an input that once broke something, or one of the kind that does.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadscore.normalising import InvalidEvent, normalise_event
from tests.fuzz import doors
from tests.fuzz.doors import CORPUS, ROOT, Broken, check, memory_bound
from tests.property.test_normalising import contexts, envelopes, events, json_values, times, wild_envelopes

FILES = sorted(CORPUS.iterdir())
SECONDS = 20
anything = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_corpus_is_taken_or_refused_in_bounded_work_and_memory(file: Path) -> None:
    raw = file.read_bytes()
    check(raw)
    tracemalloc.start()
    try:
        # Once without counting steps, whose callbacks take memory of their own.
        doors.pass_through(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= memory_bound(raw)


def test_the_corpus_comes_to_every_outcome() -> None:
    outcomes = " ".join(check(file.read_bytes()) for file in FILES)
    codes = (
        *("duplicate_keys", "unreadable_body", "body_too_large", "missing_batch", "invalid_field", "not_found"),
        *("method_not_allowed", "missing_write_key", "invalid_write_key", "invalid_number", "invalid_text", "too_deep"),
        *("key_too_long", "invalid_timestamp", "missing_id", "invalid_id", "unknown_type", "missing_field"),
        *("unmappable_event", "unknown_source", "invalid_envelope", "invalid_json", "unknown_message"),
    )
    assert [code for code in codes if code not in outcomes] == []


requests = st.builds(
    lambda path, content, context, sent_at: request(
        path, {"batch": [content], "context": context, "sentAt": sent_at} if path == "/batch" else content
    ),
    st.sampled_from(["/batch", "/track", "/i", "/v1/b"]),
    events,
    contexts | json_values,
    times,
)


def request(path: str, content: object) -> bytes:
    head = f"POST {path}\nAuthorization: Basic azo=\n\n".encode()
    return head + json.dumps(content).encode()


@anything
@given(requests)
def test_any_request_is_taken_or_refused(raw: bytes) -> None:
    check(raw)


@anything
@given(envelopes | wild_envelopes | json_values)
def test_any_message_is_taken_or_refused(content: object) -> None:
    check(json.dumps(content).encode())


@anything
@given(st.sampled_from(FILES), st.integers(0, 10_000), st.binary(max_size=8), st.integers(0, 40))
def test_any_damage_to_the_corpus_is_taken_or_refused(file: Path, at: int, patch: bytes, lost: int) -> None:
    raw = file.read_bytes()
    at %= len(raw) + 1
    check(raw[:at] + patch + raw[at + lost :])


def test_a_broken_promise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    good = (CORPUS / "request-segment-node").read_bytes()

    def busy(*arguments: Any, **options: Any) -> Any:
        for _ in range(10 * len(good)):
            pass
        return normalise_event(*arguments, **options)

    def restless(*arguments: Any, **options: Any) -> Any:
        return {**normalise_event(*arguments, **options), "messageId": "another"}

    def talkative(*_arguments: Any, **_options: Any) -> Any:
        raise InvalidEvent("unknown_message", "what is canary@acme.example?")

    for name, broken, raw, why in (
        ("normalise_event", busy, good, "steps"),
        ("normalise_event", restless, good, "final"),
        ("read_message", talkative, b"{}", "repeats"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(doors, name, broken)
            with pytest.raises(Broken, match=why):
                check(raw)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has wheels for Linux on x86-64 alone")
def test_coverage_guided_fuzzing_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", str(SECONDS), "--scratch", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # What it found lies in the corpus by now.
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Done" in done.stderr
    assert any((tmp_path / "kept").iterdir())


def test_a_bomb_in_the_corpus_is_one() -> None:
    raw = (CORPUS / "request-zip-bomb").read_bytes()
    assert len(gzip.decompress(raw.partition(b"\n\n")[2])) == 10 * 1024 * 1024
