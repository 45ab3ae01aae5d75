"""`leadscore criteria suggest`: what later leads confirm is shown and written, and nothing else ever is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import ndiff
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from leadscore import parse_ruleset
from leadscore.core.instants import DAY, format_instant, parse_instant
from leadscore.learning.sampling import Sample, Sampling
from leadscore.learning.snapshots import draw_moment
from leadscore_cli import suggest_command
from leadscore_cli.aws import local_session
from leadscore_cli.event_histories import read_event_histories, sample_events
from leadscore_cli.main import app
from leadscore_cli.outputs import Deployment
from leadscore_cli.sample_company import GOAL, TRUTH, SampleCompany, sample_ruleset
from leadscore_cli.sampling_run import Order
from leadscore_cli.target import Target
from tests.unit.test_cli_outputs import CDK_OUTPUTS

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
# Upside down: what tells nothing is worth most.
WRONG = {"united-states": 30, "blog-page": 25, "agency": 20, "pricing-page": 2, "free-trial": 2, "power-user": 1}
RIGHT = {name: round(worth * 12) for name, worth in TRUTH.items()}


def write_ruleset(folder: Path, points: Mapping[str, int], *criteria: Mapping[str, object]) -> Path:
    document = sample_ruleset(points)
    document["criteria"] = [*document["criteria"], *criteria]  # type: ignore[misc]
    path = folder / "ruleset.yaml"
    yaml = YAML()
    with path.open("w") as file:
        file.write("# Ours. Ask before you change it!\n")
        yaml.dump(document, file)
    return path


def write_events(path: Path, leads: int, base_rate: float, also: Callable[[Any], list[Any]] = lambda _: []) -> Path:
    with path.open("w") as file:
        for event in SampleCompany(leads, UNTIL, base_rate=base_rate).events():
            file.writelines(json.dumps(one) + "\n" for one in (event, *also(event)))
    return path


def run(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["criteria", "suggest", *map(str, arguments)], env={"COLUMNS": "150"})
    assert result.exit_code == exit_code, result.output
    return result


def as_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_events(tmp_path_factory.mktemp("company") / "events.ndjson", 3_000, 0.3)


def test_wrong_points_are_found_and_the_file_differs_in_them_alone(company: Path, tmp_path: Path) -> None:
    ruleset, new = write_ruleset(tmp_path, WRONG), tmp_path / "new.yaml"

    shown = run(ruleset, "--events", company, "-o", new).output

    changes = dict(re.findall(r"^([a-z-]+)\s+[+-]\d+\s+([+-]\d+|take out) ", shown, re.MULTILINE))
    assert len(changes) >= 3
    assert {"united-states", "blog-page"} & changes.keys()
    assert re.search(
        r"^\d+ changes: AUC \+0\.\d+ \(\+0.* on later leads, \+0\.\d+ .* on the last ones$", shown, re.MULTILINE
    )
    before, after = parse_ruleset(ruleset.read_text()), parse_ruleset(new.read_text())
    points = {one.id: one.points for one in after.criteria}
    for name, now in changes.items():
        assert points.get(name, 0) == (0 if now == "take out" else int(now))
    expected = json.loads(before.document)
    expected["criteria"] = [{**one, "points": points[one["id"]]} for one in expected["criteria"] if one["id"] in points]
    assert json.loads(after.document) == expected
    assert {one.id for one in before.criteria} - points.keys() == {
        name for name, now in changes.items() if now == "take out"
    }
    differing = [
        line for line in ndiff(ruleset.read_text().splitlines(), new.read_text().splitlines()) if line[0] == "+"
    ]
    assert all(re.fullmatch(r"\+ +points: -?\d+", line) for line in differing)


def test_as_json_a_suggestion_says_the_same(company: Path, tmp_path: Path) -> None:
    ruleset = write_ruleset(tmp_path, WRONG)

    found = as_json(ruleset, "--events", company, "--step", 5, "--most", 20, "--lock", "blog-page")

    assert found["shown"] is True
    assert found["file"] is None
    assert found["points"] == {one["criterion"]: one["after"] for one in found["changes"]}
    assert "blog-page" in found["kept"]
    assert all(points % 5 == 0 and abs(points) <= 20 for points in found["points"].values())
    assert found["ruleset"] == parse_ruleset(ruleset.read_text()).version
    assert found["sample"]["leads"] == 3_000
    assert found["gate_gain"]["low"] > 0


def test_all_points_anew_may_turn_signs_near_the_present_ones_or_not(company: Path, tmp_path: Path) -> None:
    ruleset = write_ruleset(tmp_path, WRONG | {"unsubscribed": 10})

    fewest = as_json(ruleset, "--events", company)
    anew = as_json(ruleset, "--events", company, "--engine", "start-over")
    near = as_json(ruleset, "--events", company, "--engine", "start-over", "--prior", "points")

    assert [one["engine"] for one in (fewest, anew, near)] == ["changes", "start over", "start over"]
    assert fewest["points"].get("unsubscribed", 0) >= 0
    assert anew["points"]["unsubscribed"] < 0
    assert near["points"] != anew["points"]


def test_right_points_are_left_alone_and_nothing_is_written(company: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"

    result = run(write_ruleset(tmp_path, RIGHT), "--events", company, "-o", new)

    as_good = r"not shown: on later leads the present points were as good \(AUC "
    assert re.search(
        rf"^(no change pays for itself on [\d,]+ leads|{as_good})",
        result.output,
        re.MULTILINE,
    )
    assert not new.exists()
    assert "is not written" in result.output


def test_what_later_leads_do_not_confirm_is_not_shown_but_its_figures_are(tmp_path: Path) -> None:
    """From one day on, what was worth most is worth nothing: what was learned does not hold later."""
    moved = tmp_path / "moved.ndjson"
    with moved.open("w") as file:
        truth, drift = ({name: times * worth for name, worth in TRUTH.items()} for times in (3, -5))
        for event in SampleCompany(2_000, UNTIL, base_rate=0.4, truth=truth, drift=drift).events():
            file.write(json.dumps(event) + "\n")

    result = run(write_ruleset(tmp_path, dict.fromkeys(TRUTH, 5)), "--events", moved)

    assert "not shown: on later leads the present points were as good (AUC " in result.output
    assert "AUC on the last leads: 0." in result.output
    assert not re.search(r"^[a-z-]+\s+[+-]\d+\s+[+-]\d+ ", result.output, re.MULTILINE)


def test_thin_data_suggest_nothing(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.ndjson", 300, 0.3)

    result = run(write_ruleset(tmp_path, WRONG), "--events", events, "--tiers")

    assert re.search(
        r"^not shown: \d+ conversions to learn from and \d+ to check by; it takes 100 and 20$",
        result.output,
        re.MULTILINE,
    )
    assert "tiers not shown: it takes 100 conversions" in result.output


LEAK: dict[str, object] = {"id": "contract", "group": "engagement", "event": {"event": ["Contract Sent"]}, "points": 1}


def leaking() -> Callable[[Any], list[Any]]:
    """Return what adds, for each who bought, something that was dated back to when they signed up."""
    created: dict[str, str] = {}

    def add(event: Any) -> list[Any]:
        time = created.setdefault(event["userId"], event["timestamp"])
        if event.get("event") != GOAL:
            return []
        backdated = {"event": "Contract Sent", "messageId": f"{event['messageId']}-c", "timestamp": time}
        return [{**event, **backdated, "receivedAt": time}]

    return add


def test_a_leak_is_flagged_and_never_suggested_upwards(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.ndjson", 2_000, 0.4, leaking())
    ruleset = write_ruleset(tmp_path, WRONG, {**LEAK, "half_life": "none"})

    found = as_json(ruleset, "--events", events, "--engine", "start-over")
    assert "is it known in time?" in found["suspects"]["contract"]
    assert "contract" not in [one["criterion"] for one in found["changes"]]
    told = " ".join(run(ruleset, "--events", events).output.split())
    assert re.search(r"! contract keeps its points: .* \(if it is known in time: --trust contract\)", told)
    assert not re.search(r"contract \+1 \+\d", told)
    trusting = as_json(ruleset, "--events", events, "--trust", "contract")
    assert trusting["suspects"] == {}
    assert trusting["points"]["contract"] > 1


def test_tier_cuts_are_found_and_written_with_the_points(company: Path, tmp_path: Path) -> None:
    ruleset, new = write_ruleset(tmp_path, WRONG), tmp_path / "new.yaml"

    found = as_json(ruleset, "--events", company, "--tiers", "--per-week", 8, "-o", new)

    assert found["tiers"]["shown"] is True
    tiers = {tier.name: tier.from_ for tier in parse_ruleset(new.read_text()).tiers}
    assert tiers == {"hot": 40, "warm": 20, "cold": None} | found["tiers"]["cuts"]
    hot, *_, cold = found["tiers"]["suggested"]
    assert hot["rate"]["low"] > cold["rate"]["high"]
    assert hot["leads"] / found["tiers"]["weeks"] < 16
    shown = run(ruleset, "--events", company, "--tiers", "--per-week", 8).output
    assert re.search(rf"^hot +40 .* {found['tiers']['cuts']['hot']} ", shown, re.MULTILINE)


def test_points_that_leave_a_tier_out_of_reach_are_shown_and_not_written(company: Path, tmp_path: Path) -> None:
    ruleset, new = write_ruleset(tmp_path, RIGHT | {"united-states": 80, "blog-page": 60}), tmp_path / "new.yaml"
    ruleset.write_text(ruleset.read_text().replace("from: 40", "from: 190"))

    result = run(ruleset, "--events", company, "-o", new, exit_code=1)

    assert re.search(r"^\d+ changes: AUC", result.output, re.MULTILINE)
    assert "can never be reached" in result.output
    assert "--tiers looks for cuts" in result.output
    assert not new.exists()


FADING = """\
goal: {event: [Bought]}
tiers: [{name: hot, from: 9}, {name: cold}]
groups: {engagement: {half_life: 12h}}   # Ben says so
criteria:
  - {id: big, group: fit, traits: {size: [big]}, points: 5}
  - {id: trial, group: engagement, event: {event: [Trial Started]}, points: 10}
"""


def write_slow_buyers(path: Path, leads: int) -> Path:
    """Leads of whom those buy who tried the product ten days before they were looked at, and few others."""
    chance = Random(5)
    with path.open("w") as file:
        for number in range(leads):
            person = f"lead-{number}"
            first = parse_instant("2026-01-01T00:00:00Z") + number * 300 * DAY // leads
            seen = draw_moment(first, f"0:user:{person}")
            tried, size = chance.random() < 0.5, chance.choice(("big", "small"))
            told: list[tuple[int, dict[str, object]]] = [(first, {"type": "identify", "traits": {"size": size}})]
            if tried:
                told.append((max(first, seen - 10 * DAY), {"type": "track", "event": "Trial Started"}))
            if chance.random() < (0.7 if tried else 0.3) + (0.1 if size == "big" else 0.0):
                told.append((seen + 5 * DAY, {"type": "track", "event": "Bought"}))
            for place, (time, fields) in enumerate(told):
                common = {"userId": person, "messageId": f"{person}-{place}", "timestamp": format_instant(time)}
                file.write(json.dumps({**common, **fields}) + "\n")
    return path


def test_half_lives_that_are_far_too_short_are_found_and_nothing_else_is_written(tmp_path: Path) -> None:
    events = write_slow_buyers(tmp_path / "events.ndjson", 1_500)
    ruleset, new = tmp_path / "ruleset.yaml", tmp_path / "new.yaml"
    ruleset.write_text(FADING)

    found = as_json(ruleset, "--events", events, "--half-lives", "-o", new)["half_lives"]

    assert found["tried"]["4"]["low"] > 0
    assert found["gate_gain"]["low"] > 0
    assert found["report_gain"]["low"] > 0
    other = {"2": "1d", "4": "2d", "none": "none"}[found["factor"]]
    assert new.read_text() == FADING.replace("12h", other)
    assert f"{found['verdict']}\n" in run(ruleset, "--events", events, "--half-lives").output


def test_half_lives_that_are_as_good_are_left_as_they_are(tmp_path: Path) -> None:
    events = write_slow_buyers(tmp_path / "events.ndjson", 1_500)
    ruleset, new = tmp_path / "ruleset.yaml", tmp_path / "new.yaml"
    ruleset.write_text(FADING.replace("12h", "none"))
    assert "no criterion has a half-life" in run(ruleset, "--events", events, "--half-lives", "-o", new).output
    ruleset.write_text(FADING.replace("12h", "400d"))
    said = run(ruleset, "--events", events, "--half-lives", "-o", new).output
    assert "not shown: on later leads the present half-lives were as good" in said
    assert not new.exists()


def test_the_processes_that_read_a_table_are_told_to_try_half_lives() -> None:
    ruleset = parse_ruleset(sample_ruleset())
    target = Target(Deployment.from_cdk("dev", "eu-west-1", CDK_OUTPUTS), local_session(), None, None)

    for half_lives in (True, False):
        assert Order.of(Sampling(ruleset, 0, half_lives=half_lives), target).sampling.half_lives is half_lives


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--step", "2"], "--step 2: points come in steps of 1 or 5"),
        (["--step", "5", "--most", "3"], "--most 3 is less than one step of 5"),
        (["--lock", "nobody"], "--lock nobody: no criterion with points has that id"),
        (["--trust", "nobody"], "--trust nobody: no criterion"),
        (["--per-week", "4"], "--per-week goes with --tiers"),
        (["--half-lives", "--tiers"], "--half-lives changes no points"),
        (["--half-lives", "--lock", "blog-page"], "--half-lives changes no points"),
        (["--window", "soon"], "--window 'soon'"),
    ],
)
def test_what_cannot_be_asked_is_said(company: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in run(write_ruleset(tmp_path, WRONG), "--events", company, *arguments, exit_code=1).output


def test_without_a_goal_or_a_ruleset_there_is_nothing_to_learn(company: Path, tmp_path: Path) -> None:
    ruleset = write_ruleset(tmp_path, WRONG)
    ruleset.write_text(re.sub(r"goal:\n.*\n.*\n", "", ruleset.read_text()))

    assert "names no goal" in run(ruleset, "--events", company, exit_code=1).output
    assert "which ruleset?" in run("--events", company, exit_code=1).output
    assert "cannot be read" in run(tmp_path / "none.yaml", "--events", company, exit_code=1).output


def test_a_history_that_is_too_young_says_why(tmp_path: Path) -> None:
    line = {"type": "track", "event": "Opened", "userId": "ada", "timestamp": "2026-01-01T00:00:00Z"}
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps(line))

    said = run(write_ruleset(tmp_path, WRONG), "--events", events, exit_code=1).output
    assert "no lead to learn from: left out: 1 too recent" in said


@dataclass(frozen=True)
class FakeTarget:
    """A stage whose published ruleset is the text."""

    text: str
    deployment = SimpleNamespace(stage="dev", ruleset_parameter="/leadscore/dev/ruleset")

    @contextmanager
    def ssm(self) -> Iterator[Any]:
        yield SimpleNamespace(get_parameter=self._get)

    def _get(self, Name: str) -> Any:  # noqa: N803 - boto3's own name
        assert Name == self.deployment.ruleset_parameter
        return {"Parameter": {"Value": self.text}}


def test_without_a_file_it_is_the_stages_ruleset_and_without_events_its_log(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruleset, new = write_ruleset(tmp_path, WRONG), tmp_path / "new.json"
    text = json.dumps(json.loads(parse_ruleset(ruleset.read_text()).document), indent=2)
    target = FakeTarget(text)
    asked: list[object] = []

    def take_sample(where: object, sampling: Sampling) -> Sample:
        asked.append(where)
        histories = read_event_histories([str(company)], sampling.ruleset.identity, sampling.now)
        return sample_events(histories, sampling)

    monkeypatch.setattr(suggest_command, "target_of_project", lambda stage: {"dev": target}[stage])
    monkeypatch.setattr("leadscore_cli.sampling_run.take_sample", take_sample)

    found = as_json("--stage", "dev", "-o", new)

    assert asked == [target]
    assert found["shown"] is True
    expected = json.loads(text)
    for criterion in expected["criteria"]:
        criterion["points"] = found["points"].get(criterion["id"], criterion["points"])
    expected["criteria"] = [one for one in expected["criteria"] if one["points"]]
    assert json.loads(new.read_text()) == expected
