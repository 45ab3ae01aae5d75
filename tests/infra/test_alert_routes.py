"""The file of alert routes: read into typed routes, and every mistake named with its path before the synth."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.alert_routes import AlertRoute, AlertRoutesError, load_alert_routes


def load(folder: Path, text: str) -> tuple[AlertRoute, ...]:
    file = folder / "routes.yaml"
    file.write_text(text, encoding="utf-8")
    return load_alert_routes(file)


def test_routes_are_read(tmp_path: Path) -> None:
    text = """
routes:
  - {name: all, slack: true}
  - {name: emea, email: emea@company.example, when: {owner: [Eve Hill], score: [{numeric: [">=", 60]}, 100]}}
  - {name: fifo, sqs: "arn:aws:sqs:eu-central-1:111122223333:alerts.fifo", when: {source: [{anything-but: [demo]}]}}
  - {name: call, lambda: "arn:aws:lambda:eu-west-1:111122223333:function:r:live", when: {account: [{exists: false}]}}
"""
    routes = load(tmp_path, text)

    assert routes == (
        AlertRoute("all", "slack", "", None),
        AlertRoute(
            "emea", "email", "emea@company.example", {"owner": ["Eve Hill"], "score": [{"numeric": [">=", 60]}, 100]}
        ),
        AlertRoute(
            "fifo", "sqs", "arn:aws:sqs:eu-central-1:111122223333:alerts.fifo", {"source": [{"anything-but": ["demo"]}]}
        ),
        AlertRoute(
            "call",
            "lambda",
            "arn:aws:lambda:eu-west-1:111122223333:function:r:live",
            {"account": [{"exists": False}]},
        ),
    )
    assert [route.is_in_order for route in routes] == [True, False, True, False]


MAIL = "name: a, email: a@b.example"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[]", "(document)"),
        ("routes: 3", "routes:"),
        ("colour: red\nroutes: []", "colour:"),
        ("routes: [3]", "routes[0]:"),
        ("routes: [{slack: true}]", "routes[0].name:"),
        ("routes: [{name: Sales, slack: true}]", "routes[0].name:"),
        ("routes: [{name: a, slack: true}, {name: a, slack: true}]", "routes[1].name:"),
        ("routes: [{name: a}]", "routes[0]:"),
        (f"routes: [{{{MAIL}, slack: true}}]", "routes[0]:"),
        (f"routes: [{{{MAIL}, filter: {{}}}}]", "routes[0].filter:"),
        ("routes: [{name: a, email: somebody}]", "routes[0].email:"),
        ("routes: [{name: a, sqs: 'https://sqs.example/q'}]", "routes[0].sqs:"),
        ("routes: [{name: a, lambda: router}]", "routes[0].lambda:"),
        (f"routes: [{{{MAIL}, when: {{}}}}]", "routes[0].when:"),
        (f"routes: [{{{MAIL}, when: {{tier: []}}}}]", "routes[0].when.tier"),
        (f"routes: [{{{MAIL}, when: {{tier: hot}}}}]", "routes[0].when.tier"),
        (f"routes: [{{{MAIL}, when: {{colour: [red]}}}}]", "routes[0].when.colour:"),
        (f"routes: [{{{MAIL}, when: {{tier: {{name: [hot]}}}}}}]", "routes[0].when.tier:"),
        (f"routes: [{{{MAIL}, when: {{$or: [{{tier: [hot]}}, {{fit: [1]}}]}}}}]", "routes[0].when.$or:"),
        (f"routes: [{{{MAIL}, when: {{tier: [3]}}}}]", "routes[0].when.tier[0]:"),
        (f"routes: [{{{MAIL}, when: {{tier: [null]}}}}]", "routes[0].when.tier[0]:"),
        (f"routes: [{{{MAIL}, when: {{score: ['60']}}}}]", "routes[0].when.score[0]:"),
        (f"routes: [{{{MAIL}, when: {{score: [{{prefix: '6'}}]}}}}]", "routes[0].when.score[0]:"),
        (f"routes: [{{{MAIL}, when: {{tier: [{{numeric: ['>', 6]}}]}}}}]", "routes[0].when.tier[0]:"),
        (f"routes: [{{{MAIL}, when: {{owner: [{{wildcard: 'E*'}}]}}}}]", "routes[0].when.owner[0]:"),
        (f"routes: [{{{MAIL}, when: {{owner: [{{sounds-like: Eve}}]}}}}]", "routes[0].when.owner[0]"),
        (
            f"routes: [{{{MAIL}, when: {{tier: [a], owner: [a], source: [a], account: [a], reason: [a], fit: [1]}}}}]",
            "routes[0].when:",
        ),
        (
            f"routes: [{{{MAIL}, when: {{fit: {list(range(13))}, score: {list(range(13))}}}}}]",
            "routes[0].when:",
        ),
        (f"routes: {[{'name': f'r{n}', 'slack': True} for n in range(11)]}", "routes:"),
    ],
)
def test_a_mistake_is_named_by_file_and_path(tmp_path: Path, text: str, path: str) -> None:
    with pytest.raises(AlertRoutesError) as refused:
        load(tmp_path, text)
    first, *problems = str(refused.value).splitlines()
    assert first.startswith(f"{tmp_path / 'routes.yaml'}: ")
    assert any(line.strip().startswith(path) for line in problems), problems


def test_a_webhook_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(AlertRoutesError, match="leadscore slack set") as refused:
        load(tmp_path, "routes: [{name: a, slack: 'https://hooks.slack.com/services/s3cret'}]")
    assert "s3cret" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlertRoutesError, match=r"nowhere\.yaml"):
        load_alert_routes(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"routes: [\xe9]")
    with pytest.raises(AlertRoutesError, match="UTF-8"):
        load_alert_routes(tmp_path / "latin.yaml")
