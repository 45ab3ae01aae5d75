"""`leadscore criteria diff`: the differences in words, and what they would do to the leads of a stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from leadscore import Ruleset, parse_ruleset
from leadscore.core.identity import pseudonym
from leadscore.core.instants import from_datetime
from leadscore.learning.dry_runs import DryRun
from leadscore.learning.sampling import Sample, Sampling
from leadscore.usecases.dry_run import Comparing, DryRunReport, SentAlerts
from leadscore_cli import diff_command, dry_run_walk
from leadscore_cli.dry_run_walk import SEGMENTS, Progress, Worker
from leadscore_cli.main import app
from leadscore_cli.sampling_run import reduce_segment
from tests.contract.memory_histories import MemoryHistories
from tests.unit.test_score_batch import NOW, RULES, make_event
from tests.unit.test_verifying import ADA, World

EVE = make_event("e1", "track", "eve", age_days=3, event="Report Exported")


class Runner:
    """Compares the leads of a world in one process, as the real one does in several."""

    def __init__(self, world: World, comparing: Comparing) -> None:
        self.comparing = comparing
        self._worker = Worker(MemoryHistories(world.store), comparing)

    def run_all(self, progress: Progress) -> DryRunReport:
        done = DryRun.empty(self.comparing.old, self.comparing.new)
        for segment in range(SEGMENTS):
            done = done.merge(self._worker.run(segment))
            progress(segment + 1, done.leads)
        return DryRunReport(self.comparing, done, is_all=True)

    def run_sample(self, leads: int, progress: Progress) -> DryRunReport:
        return self._worker.run_sample(leads, progress)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Ada and Bob, and Eve of whom nothing counts, on a stage of their own."""
    world = World()
    world.apply(EVE)

    @contextmanager
    def opened(_target: object, old: Ruleset, new: Ruleset) -> Iterator[Runner]:
        sent = SentAlerts(3, {pseudonym(ADA): 2, "someone": 1}, accounts=1)
        yield Runner(world, Comparing(old, new, from_datetime(NOW), world.store.retention, sent))

    monkeypatch.setattr(diff_command, "open_dry_runner", opened)

    def sampled(_target: object, sampling: Sampling) -> Sample:
        return reduce_segment(MemoryHistories(world.store), sampling, 0, 1)

    monkeypatch.setattr(diff_command, "take_sample", sampled)
    monkeypatch.setattr(diff_command, "target_of_project", lambda _stage: None)
    monkeypatch.setattr(diff_command, "read_active", lambda _target: RULES)
    return world


def write(path: Path, **changes: Any) -> str:
    """Write a ruleset like the active one, some of whose criteria have other points; 0 leaves one out."""
    document = json.loads(RULES.document)
    points = changes.pop("points", {})
    document["criteria"] = [
        {**one, "points": points.get(one["id"], one["points"])}
        for one in document["criteria"]
        if points.get(one["id"]) != 0
    ]
    document["criteria"] += changes.pop("added", [])
    path.write_text(json.dumps({**document, **changes}))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["criteria", "diff", *arguments], env={"COLUMNS": "160", "TERM": "dumb"})


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()]


def test_what_changes_comes_first_then_who_and_why_then_alerts(world: World, tmp_path: Path) -> None:
    told = lines(run(write(tmp_path / "new.yaml", points={"executive": 30, "large": 0})))
    assert told[0].endswith(": 2 differences")
    assert told[1:3] == ["criterion executive: points 20 -> 30", "criterion large: removed, was +8 points in fit"]
    assert told[3].startswith("2 stored leads: 1 of them change tier (50.0 %), 2 their score")
    matrix = told[told.index("Tiers, from the old (rows) to the new (columns)") + 1 :]
    assert matrix[:4] == ["hot warm all", "hot 1 - 1", "cold - 1 1", "all 1 1 2"]
    who = told[told.index("Who moves furthest") + 1 :]
    assert who[0] == "Lead From To Points Because of"
    # Who changes tier comes first.
    assert who[1] == "bob 20.0 cold 30.0 warm +10.0 executive 20.0 -> 30.0"
    assert who[2].startswith("ada ")
    assert who[2].endswith("executive 20.0 -> 30.0, large 8.0 -> 0.0")
    behind = told[told.index("Criteria behind it") + 2 :]
    assert behind[:2] == ["executive 2 0 +20.0", "large 0 1 -8.0"]
    alerts = told[told.index("Alerts on leads in the last 30 days") + 2 :]
    assert alerts[:4] == [
        "under the old ruleset 1 0 1",
        "under the new ruleset 1 0 1",
        "leads under both 1",
        "really told of these leads 2",
    ]
    assert alerts[4] == "Really sent in all: 3 alerts, 3 times of a lead, 1 of an account."


def test_against_itself_nobody_moves(world: World, tmp_path: Path) -> None:
    told = lines(run(write(tmp_path / "same.yaml")))
    assert told[0].endswith(": 0 differences")
    assert told[1].startswith("2 stored leads: 0 of them change tier (0.0 %), 0 their score")
    assert "Who moves furthest" not in told
    assert "Criteria behind it" not in told


def test_leads_that_a_re_score_does_not_reach_are_pointed_out(world: World, tmp_path: Path) -> None:
    exported = {"id": "exported", "group": "engagement", "event": {"event": ["Report Exported"]}, "points": 60}
    told = lines(run(write(tmp_path / "new.yaml", added=[exported]), "--no-backtest"))
    (remark,) = [line for line in told if line.startswith("!")]
    assert "1 lead of which nothing is stored" in remark


def test_leads_that_cannot_be_read_are_pointed_out(world: World, tmp_path: Path) -> None:
    world.spoil("user:bob", claimed={})
    world.store.identities["user:bob"] = spoilt = world.store.identities["user:bob"]
    assert spoilt.body is not None
    object.__setattr__(spoilt.body, "state", "{")
    told = lines(run(write(tmp_path / "new.yaml")))
    assert any(line.startswith("! 1 lead could not be read") for line in told)


def test_as_json_it_is_all_there(world: World, tmp_path: Path) -> None:
    result = run(write(tmp_path / "new.yaml", points={"executive": 30}), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["matrix"]["cold"] == {"hot": 0, "warm": 1, "cold": 0, "disqualified": 0}
    assert [change["text"] for change in told["changes"]] == ["criterion executive: points 20 -> 30"]
    assert [mover["lead"] for mover in told["movers"]] == ["bob", "ada"]
    assert (told["is_all"], told["sent"]["alerts"]) == (True, 3)


def test_a_sample_says_that_it_is_one(world: World, tmp_path: Path) -> None:
    file = write(tmp_path / "new.yaml")
    told = json.loads(run(file, "--sample", "1", "--json").stdout)
    assert (told["leads"] + told["unstored"]["leads"], told["is_all"]) == (1, False)
    assert any(line.startswith("a sample of") for line in lines(run(file, "--sample", "2")))
    assert json.loads(run(file, "--sample", "100", "--json").stdout)["is_all"] is True


PAST = "On past leads (`leadscore backtest` tells more)"


def make_past(world: World) -> None:
    """Let sixty leads have come months ago, of whom executives became customers."""
    for number in range(60):
        name, age = f"past-{number:02d}", 200 - number
        world.apply(
            make_event(f"{name}-i", "identify", name, age_days=age, traits={"title": ["VP", "Clerk"][number % 2]})
        )
        world.apply(make_event(f"{name}-t", "track", name, age_days=age, event="Trial Started"))
        if number % 2 == 0:
            world.apply(make_event(f"{name}-g", "track", name, age_days=age - 31, event="Subscription Started"))


def test_where_there_is_a_goal_both_are_tried_on_past_leads(world: World, tmp_path: Path) -> None:
    make_past(world)
    better = write(tmp_path / "new.yaml", points={"executive": 60})
    told = lines(run(better))
    assert PAST in told
    assert told[told.index(PAST) + 1].startswith("new")
    assert any(line.startswith("AUC") for line in told[told.index(PAST) :])
    tried = json.loads(run(better, "--json").stdout)["backtest"]
    versions = parse_ruleset(Path(better).read_text()).version, RULES.version
    assert (tried["tested"]["version"], tried["against"]["version"]) == versions


def test_past_leads_are_left_out_where_there_is_no_goal_or_on_demand(world: World, tmp_path: Path) -> None:
    make_past(world)
    file, aimless = write(tmp_path / "new.yaml"), tmp_path / "aimless.yaml"
    aimless.write_text(
        json.dumps({name: value for name, value in json.loads(RULES.document).items() if name != "goal"})
    )
    for arguments in ((file, "--no-backtest"), (file, "--sample", "5"), (str(aimless),)):
        assert PAST not in lines(run(*arguments))
        assert json.loads(run(*arguments, "--json").stdout)["backtest"] is None


def test_any_file_can_be_compared_with(world: World, tmp_path: Path) -> None:
    old, new = write(tmp_path / "old.yaml", points={"executive": 25}), write(tmp_path / "new.yaml")
    assert lines(run(new, "--against", old))[1] == "criterion executive: points 25 -> 20"


def test_of_the_movers_so_many_are_shown_as_asked_for(world: World, tmp_path: Path) -> None:
    file = write(tmp_path / "new.yaml", points={"executive": 30})
    assert not any(line.startswith("ada ") for line in lines(run(file, "--movers", "1")))
    assert "Who moves furthest" not in lines(run(file, "--movers", "0"))


def test_what_is_no_ruleset_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("criteria: []")
    refused = run(str(bad))
    assert refused.exit_code == 1
    assert "cannot be published" in refused.output


def test_a_table_that_cannot_be_read_is_told_in_words(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Scan")

    monkeypatch.setattr(Runner, "run_all", refuse)
    refused = run(write(tmp_path / "new.yaml"))
    assert refused.exit_code == 1
    assert "the leads cannot be read" in refused.output


def test_a_process_works_on_what_its_errand_says(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    worker = Worker(MemoryHistories(world.store), Comparing(RULES, RULES, from_datetime(NOW), world.store.retention))
    monkeypatch.setattr(dry_run_walk, "_workers", [])
    monkeypatch.setattr(dry_run_walk.Errand, "open", lambda _errand, _opened: worker)
    errand: Any = object.__new__(dry_run_walk.Errand)
    dry_run_walk._begin(errand)
    parts = [dry_run_walk._run(segment) for segment in range(SEGMENTS)]
    assert parts[0].merge(*parts[1:]).leads == 2
