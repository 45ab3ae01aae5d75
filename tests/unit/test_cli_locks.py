"""A lock is held exactly as long as its holder has it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from leadscore_cli.locks import is_held, one_at_a_time, take_lock


def test_a_lock_is_held_until_its_descriptor_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "place"
    assert not is_held(path)

    descriptor = take_lock(path)
    assert is_held(path)

    os.close(descriptor)
    assert not is_held(path)


def test_a_held_lock_is_not_given_twice(tmp_path: Path) -> None:
    descriptor = take_lock(tmp_path / "place")

    with pytest.raises(BlockingIOError):
        take_lock(tmp_path / "place", patience_seconds=0)

    os.close(descriptor)


def test_looking_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "place"
    path.touch()

    assert not is_held(path)

    os.close(take_lock(path, patience_seconds=0))


def test_the_second_at_a_folder_waits_and_says_so(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def come_second() -> None:
        with one_at_a_time(tmp_path, waiting.set):
            order.append("second")

    second = threading.Thread(target=come_second)
    with one_at_a_time(tmp_path, lambda: order.append("first waited")):
        second.start()
        assert waiting.wait(10)
        order.append("first")
    second.join()

    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []
