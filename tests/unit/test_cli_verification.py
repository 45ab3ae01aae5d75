"""`leadscore verify`: what is told of leads that differ, and how the command ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner, Result

from leadscore.core.state import Moment
from leadscore.usecases.rebuilding import Page
from leadscore_cli import truth_commands, verification
from leadscore_cli.main import app
from leadscore_cli.verification import Verification, Verifier
from tests.unit.test_score_batch import NOW, RULES, make_event
from tests.unit.test_verifying import ADA, BOB, World

PEOPLE = [f"p{number:02d}" for number in range(30)]


def make_world() -> World:
    world = World()
    for name in PEOPLE:
        world.apply(make_event(f"{name}-1", "track", name, event="Trial Started"))
    return world


def verifier_of(world: World) -> Verifier:
    return Verifier(world.store, world.table, RULES)


def no_progress(_page: Page, _done: Verification) -> None:
    pass


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads of the tests are as old as their day says, and nobody writes them meanwhile."""
    monkeypatch.setattr(verification, "utc_now", lambda: NOW)
    monkeypatch.setattr(verification, "_wait", lambda _reading: None)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = make_world()

    @contextmanager
    def opened(_target: object) -> Iterator[tuple[Verifier, int]]:
        yield verifier_of(world), 100

    monkeypatch.setattr(truth_commands, "open_verifier", opened)
    monkeypatch.setattr(truth_commands, "target_of_project", lambda _stage: None)
    return world


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["verify", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_all_leads_are_verified_once_in_parallel() -> None:
    world, items = make_world(), []
    done = verifier_of(world).verify_all(lambda page, _: items.append(page.items))
    assert (done.leads, done.is_clean, done.counts) == (len(PEOPLE) + 2, True, {})
    store = world.store
    of_leads = len(store.identities) + sum(map(len, store.log.values()))
    of_accounts = len(store.accounts) + len(store.ratings) + sum(map(len, store.members.values()))
    assert sum(items) == of_leads + of_accounts


def test_a_sample_has_so_many_leads_and_not_always_the_same() -> None:
    verifier = verifier_of(make_world())
    assert verifier.verify_sample(7, no_progress).leads == 7
    assert verifier.verify_sample(1000, no_progress).leads == len(PEOPLE) + 2


def test_what_fails_is_a_difference_and_stops_nobody() -> None:
    world = make_world()
    world.spoil(BOB, claimed={"nonsense": Moment(10**15, "m")})
    done = verifier_of(world).verify_all(no_progress)
    assert (done.leads, done.is_clean, done.counts) == (len(PEOPLE) + 2, False, {"failed": 1})


def test_a_lead_whose_identities_have_lost_it_is_told_of_once() -> None:
    world = make_world()
    world.spoil(ADA, claimed={})
    done = verifier_of(world).verify_all(no_progress)
    told = [(lead, each.path) for lead, each in done.differences]
    assert done.leads == len(PEOPLE) + 2
    assert len(told) == len(set(told)) == sum(done.counts.values()) > 2


def test_a_log_of_nobody_is_not_clean() -> None:
    world = make_world()
    world.store.log["user:nobody"] = {"m": make_event("m", "track", "somebody")}
    done = verifier_of(world).verify_all(no_progress)
    assert (done.strays, done.is_clean) == (1, False)


def test_clean_leads_end_well(world: World) -> None:
    result = run("--all")
    assert (result.exit_code, result.stdout) == (0, "32 leads verified, 0 different from the log\n")
    assert "\n1 lead verified, 0 different" in "\n" + run("device").stdout
    assert run("--sample", "5").stdout.startswith("5 leads verified")


def test_differences_are_told_and_end_in_1(world: World) -> None:
    world.spoil_body(tier="cold")
    for arguments in (("--all",), ("ada",), ("--sample", "1000")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "ada\n  standing  user:ada tier: cold, by the log hot\n" in result.stdout
        assert "1 different from the log" in result.stdout


def test_differences_as_json(world: World) -> None:
    world.spoil_body(tier="cold")
    result = run("--all", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["clean"], answer["leads"], answer["counts"]) == (1, False, 32, {"standing": 1})
    assert answer["differences"] == [
        {
            "lead": "ada",
            "kind": "standing",
            "identity": ADA,
            "path": "tier",
            "stored": "cold",
            "expected": "hot",
        }
    ]


def test_leads_under_another_ruleset_are_counted_and_no_error(world: World) -> None:
    world.spoil_body(ruleset="0" * 12)
    everybody, one = run("--all"), run("ada")
    assert (everybody.exit_code, one.exit_code) == (0, 0)
    assert "1 under another ruleset: rebuild --all --outdated" in everybody.stdout
    assert "user:ada" not in everybody.stdout
    assert "outdated  user:ada ruleset: 000000000000" in one.stdout


@pytest.mark.parametrize("arguments", [(), ("ada", "--all"), ("--sample", "3", "--all"), ("ada", "--sample", "2")])
def test_one_thing_is_verified_at_a_time(world: World, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert "verify what?" in result.output


def test_nobody_is_not_clean(world: World) -> None:
    result = run("nobody")
    assert result.exit_code == 1
    assert "no such lead" in result.output
