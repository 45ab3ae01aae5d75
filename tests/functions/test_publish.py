"""Rulesets published, gone back to and told of, from the request to what every other function reads."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from leadscore import Ruleset, parse_ruleset
from leadscore.adapters.publications import DynamoLedger
from leadscore.adapters.rescoring import RebuildMachine
from leadscore.adapters.ruleset_shelf import SsmShelf
from leadscore.adapters.rulesets import open_value, read_ruleset
from leadscore.usecases.publishing import (
    CLAIM_LASTS,
    Intent,
    Publication,
    Publisher,
    Receipt,
    UnderWayError,
    publish,
    roll_back,
)
from leadscore.usecases.rebuilding import SEGMENTS, Segment
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.functions.documented import check_answer
from tests.functions.envelopes import proxy_event
from tests.rulesets import many_criteria

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLER = "arn:aws:iam::111122223333:user/kim"
NAME = "/leadscore/test/ruleset"
MACHINE = "arn:aws:states:us-east-1:111122223333:stateMachine:rebuild"
WRITES = ("put_parameter", "put_item", "delete_parameter", "start_execution")


def small(points: int = 5, label: str = "Plan") -> dict[str, object]:
    criterion = {"id": "a", "group": "fit", "label": label, "traits": {"plan": ["pro"]}, "points": points}
    return {"tiers": [{"name": "hot", "from": 5}, {"name": "cold"}], "criteria": [criterion]}


def large(points: int = 5) -> dict[str, object]:
    """Return a ruleset of some criteria whose labels no compression makes small."""
    document = many_criteria(100, points)
    criteria: Any = document["criteria"]
    for number, criterion in enumerate(criteria):
        criterion["label"] = sha256(str(number).encode()).hexdigest()
    return document


def version_of(document: Mapping[str, object]) -> str:
    return parsed(json.dumps(document)).version


@functools.cache
def parsed(document: str) -> Ruleset:
    return parse_ruleset(document)


class Broken(Exception):
    """The process died, or an answer was lost."""


@dataclass
class Machines:
    """Step Functions as far as it is asked: a name starts once."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:  # noqa: A002, N803
        assert stateMachineArn == MACHINE
        if name in self.started:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": ""}}, "StartExecution")
        self.started[name] = json.loads(input)
        return {"executionArn": f"{MACHINE.replace('stateMachine', 'execution')}:{name}"}


@dataclass
class Fragile:
    """A client whose process dies at the write number `at`, before it is made or just after."""

    client: Any
    counter: Counter

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        return method if name not in WRITES else lambda **request: self.counter.write(method, request)


@dataclass
class Counter:
    """Counts the writes of all clients together, and looks at what is active after each."""

    look: Any
    at: int = -1
    is_made: bool = False
    writes: int = 0
    seen: list[str] = field(default_factory=list)

    def write(self, method: Any, request: Mapping[str, Any]) -> Any:
        number, self.writes = self.writes, self.writes + 1
        if number == self.at and not self.is_made:
            raise Broken
        try:
            return method(**request)
        finally:
            self.seen.append(self.look())
            if number == self.at:
                raise Broken


@dataclass
class Stage:
    """The function with its parameter and its table, and a clock that a test sets."""

    module: ModuleType
    ssm: Any
    machines: Machines = field(default_factory=Machines)
    now: datetime = NOW

    def publisher(self, counter: Counter | None = None) -> Publisher:
        def held(client: Any) -> Any:
            return client if counter is None else Fragile(client, counter)

        return Publisher(
            shelf=SsmShelf(held(self.ssm), NAME),
            ledger=DynamoLedger(held(boto3.client("dynamodb")), TABLE),
            rescore=RebuildMachine(held(self.machines), MACHINE),
            clock=lambda: self.now,
            settling=timedelta(seconds=20),
        )

    @property
    def value(self) -> str:
        """What is published, to the byte."""
        value: str = self.ssm.get_parameter(Name=NAME)["Parameter"]["Value"]
        return value

    def document(self) -> str:
        """What everybody reads: what is published, its parts joined."""
        return open_value(self.ssm, NAME, self.value)

    @property
    def active(self) -> Ruleset:
        """What a function with nothing in its cache works by."""
        return read_ruleset(self.ssm, NAME)

    def call(
        self, route: str, said: object = None, query: Mapping[str, str] | None = None, counter: Counter | None = None
    ) -> dict[str, Any]:
        """Call, and hold the answer to the document."""
        verb, _, path = route.partition(" ")
        self.module.publisher = self.publisher(counter)  # type: ignore[attr-defined]
        body = said if isinstance(said, str | None) else json.dumps(said)
        envelope = proxy_event(path, body, method=verb, query=query)
        envelope["requestContext"]["identity"]["userArn"] = CALLER
        answer: dict[str, Any] = self.module.handler(envelope, Context())
        check_answer(route, answer)
        return answer

    def push(
        self, document: Mapping[str, object], why: str = "", replaces: str | None = None, counter: Counter | None = None
    ) -> dict[str, Any]:
        replaced = parsed(self.document()).version if replaces is None else replaces
        return self.call("PUT /ruleset", {"document": document, "why": why, "replaces": replaced}, counter=counter)

    def history(self, **query: str) -> dict[str, Any]:
        answer = self.call("GET /ruleset/history", query=query)
        assert answer["statusCode"] == 200
        told: dict[str, Any] = json.loads(answer["body"])
        return told

    def parts(self) -> list[str]:
        pages = self.ssm.get_paginator("describe_parameters").paginate()
        return sorted(each["Name"] for page in pages for each in page["Parameters"] if each["Name"] != NAME)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with mock_aws():
        create_leads_table()
        ssm = boto3.client("ssm")
        ssm.put_parameter(Name=NAME, Value=parse_ruleset(small()).document, Type="String")
        environment = {
            "TABLE_NAME": TABLE,
            "RULESET_PARAMETER": NAME,
            "SETTLING_SECONDS": "20",
            "REBUILD_MACHINE_ARN": MACHINE,
        }
        yield Stage(import_function("publish", environment, monkeypatch), ssm)


def kinds(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each["kind"], each["version"], each["status"]) for each in entries]


def test_a_push_is_active_at_once_and_is_told_of(stage: Stage) -> None:
    answer = stage.push(small(6), "more for a plan")
    assert answer["statusCode"] == 200
    told = json.loads(answer["body"])
    assert told["publication"] == {
        "number": 2,
        "version": version_of(small(6)),
        "replaces": version_of(small(5)),
        "at": "2026-03-01T12:00:00.000Z",
        "by": CALLER,
        "why": "more for a plan",
        "kind": "push",
        "status": "published",
    }
    assert stage.value == parse_ruleset(small(6)).document
    history = stage.history()
    assert kinds(history["publications"]) == [
        ("push", version_of(small(6)), "published"),
        ("found", version_of(small(5)), "published"),
    ]
    assert history["active"]["version"] == version_of(small(6))
    assert history["next_cursor"] is None


def test_all_that_is_outdated_is_scored_again_once_every_function_has_read_it(stage: Stage) -> None:
    told = json.loads(stage.push(small(6))["body"])
    name = f"publication-2-{version_of(small(6))}"
    given = stage.machines.started[name]
    assert told["rescore"].endswith(name)
    assert given["wait_seconds"] == 20
    segments = [Segment.from_dict(each) for each in given["segments"]]
    assert segments == [Segment(number, SEGMENTS, outdated_only=True) for number in range(SEGMENTS)]


def test_a_thousand_criteria_are_published_and_gone_back_from_to_the_byte(stage: Stage) -> None:
    before = stage.value
    thousand = many_criteria(1000)
    assert stage.push(thousand)["statusCode"] == 200
    assert stage.active.document == parse_ruleset(thousand).document
    assert len(stage.active.criteria) == 1000
    assert len(stage.value) <= 4096
    values = [stage.ssm.get_parameter(Name=name)["Parameter"] for name in stage.parts()]
    assert len(values) > 1
    assert all(len(each["Value"]) <= 4096 and "{{" not in each["Value"] for each in values)
    of_the_large = stage.value

    answer = stage.call("POST /ruleset/rollback", {"version": version_of(small())[:6]})
    assert json.loads(answer["body"])["publication"]["kind"] == "rollback"
    assert stage.value == before
    assert stage.call("POST /ruleset/rollback", {"version": version_of(thousand)})["statusCode"] == 200
    assert stage.value == of_the_large
    assert [each["kind"] for each in stage.history()["publications"]] == ["rollback", "rollback", "push", "found"]


def test_braces_in_a_text_are_published_as_escapes_and_gone_back_to(stage: Stage) -> None:
    stage.push(small(label="for {{account}}"))
    value = stage.value
    assert "{{" not in value
    assert stage.active.criteria[0].label == "for {{account}}"
    stage.push(small(6))
    stage.call("POST /ruleset/rollback", {"version": version_of(small(label="for {{account}}"))})
    assert stage.value == value


def test_what_a_hand_published_is_gone_back_to_as_the_hand_wrote_it(stage: Stage) -> None:
    stage.push(small(6))
    by_hand = json.dumps(small(7), indent=1)
    stage.ssm.put_parameter(Name=NAME, Value=by_hand, Overwrite=True)
    stage.push(small(8))
    assert kinds(stage.history()["publications"])[1] == ("found", version_of(small(7)), "published")
    stage.call("POST /ruleset/rollback", {"version": version_of(small(7))})
    assert stage.value == by_hand


def test_what_only_the_parameter_itself_remembers_is_gone_back_to(stage: Stage) -> None:
    stage.ssm.put_parameter(Name=NAME, Value=json.dumps(small(7)), Overwrite=True)
    stage.call("POST /ruleset/rollback", {"version": version_of(small(5))})
    assert stage.active.version == version_of(small(5))


def test_a_ruleset_published_meanwhile_is_not_overwritten(stage: Stage) -> None:
    seen = stage.active.version
    stage.push(small(6))
    answer = stage.push(small(7), replaces=seen)
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["code"], body["active"]) == (409, "another_published", version_of(small(6)))
    assert stage.active.version == version_of(small(6))
    back = stage.call("POST /ruleset/rollback", {"version": seen, "replaces": seen})
    assert json.loads(back["body"])["code"] == "another_published"


def test_what_is_published_between_the_reading_and_the_switch_is_not_overwritten(stage: Stage) -> None:
    class Slow(SsmShelf):
        def put_parts(self, parts: Any) -> str:
            stage.ssm.put_parameter(Name=NAME, Value=json.dumps(small(9)), Overwrite=True)
            return super().put_parts(parts)

    publisher = stage.publisher
    stage.publisher = lambda counter=None: _with(publisher(counter), Slow(stage.ssm, NAME))  # type: ignore[method-assign]
    assert json.loads(stage.push(large())["body"])["code"] == "another_published"
    stage.publisher = publisher  # type: ignore[method-assign]
    assert stage.active.version == version_of(small(9))
    assert stage.push(small(6))["statusCode"] == 200


def _with(publisher: Publisher, shelf: SsmShelf) -> Publisher:
    return Publisher(shelf, publisher.ledger, publisher.rescore, publisher.clock, publisher.settling)


def test_two_publishers_never_have_one_number(stage: Stage) -> None:
    stage.push(small(6))
    ledger = stage.publisher().ledger
    begun = Publication(3, version_of(small(7)), version_of(small(6)), 0, "", "", "push", "begun")
    assert ledger.claim(begun)
    assert not ledger.claim(begun)


def claim_of_another(stage: Stage) -> None:
    """Somebody died, or is at work, between the claim and the switch."""
    stage.push(small(6))
    at = int(NOW.timestamp() * 1000)
    claimed = Publication(3, version_of(small(7)), version_of(small(6)), at, "", "", "push", "begun")
    assert stage.publisher().ledger.claim(claimed)


def test_another_waits_while_somebody_publishes_and_gives_a_dead_one_up(stage: Stage) -> None:
    claim_of_another(stage)
    stage.now = NOW + timedelta(milliseconds=CLAIM_LASTS)
    assert json.loads(stage.push(small(8))["body"])["code"] == "under_way"
    assert stage.active.version == version_of(small(6))
    stage.now = NOW + timedelta(milliseconds=CLAIM_LASTS + 1)
    assert stage.push(small(8))["statusCode"] == 200
    assert kinds(stage.history()["publications"])[:2] == [
        ("push", version_of(small(8)), "published"),
        ("push", version_of(small(7)), "given up"),
    ]


def test_the_same_push_goes_on_with_a_dead_one_at_once(stage: Stage) -> None:
    claim_of_another(stage)
    told = json.loads(stage.push(small(7))["body"])
    assert told["publication"]["number"] == 3
    assert stage.active.version == version_of(small(7))


def test_the_same_push_long_after_a_dead_one_is_a_publication_of_its_own(stage: Stage) -> None:
    claim_of_another(stage)
    stage.now = NOW + timedelta(milliseconds=CLAIM_LASTS + 1)
    told = json.loads(stage.push(small(7), "tried once more")["body"])["publication"]
    assert (told["number"], told["by"], told["why"], told["at"]) == (
        4, CALLER, "tried once more", "2026-03-01T12:01:00.001Z",
    )  # fmt: skip
    assert kinds(stage.history()["publications"])[:2] == [
        ("push", version_of(small(7)), "published"),
        ("push", version_of(small(7)), "given up"),
    ]


def test_what_is_active_is_not_written_again(stage: Stage) -> None:
    first = json.loads(stage.push(small(6))["body"])
    revision = stage.ssm.get_parameter(Name=NAME)["Parameter"]["Version"]
    assert json.loads(stage.push(small(6))["body"]) == first
    assert stage.ssm.get_parameter(Name=NAME)["Parameter"]["Version"] == revision


CHANGES = {
    "small to small": (small(5), small(6)),
    "small to large": (small(5), large()),
    "large to large": (large(), large(6)),
    "large to small": (large(), small(6)),
}


@pytest.mark.parametrize("is_made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_push_interrupted_at_any_write_leaves_the_old_or_the_new_ruleset_and_a_retry_completes_it(
    stage: Stage, change: str, is_made: bool
) -> None:
    old, new = CHANGES[change]
    documents = [parse_ruleset(each).document for each in (old, new)]
    at, outcomes = 0, []
    while True:
        stage.push(old)
        old_value = stage.value
        counter = Counter(stage.document, at=at, is_made=is_made)
        answer = stage.push(new, counter=counter)
        assert set(counter.seen) <= set(documents)
        # Once the new one was seen, the old one is not seen again.
        assert counter.seen == sorted(counter.seen, key=documents.index)
        assert stage.document() in documents
        if answer["statusCode"] == 200:
            break
        assert answer["statusCode"] == 500
        outcomes.append(stage.document())

        assert stage.push(new, replaces=version_of(old))["statusCode"] == 200
        assert stage.document() == documents[1]
        newest = stage.history()["publications"][0]
        assert (newest["version"], newest["status"], newest["replaces"]) == (
            version_of(new), "published", version_of(old),
        )  # fmt: skip
        assert f"publication-{newest['number']}-{newest['version']}" in stage.machines.started
        assert stage.call("POST /ruleset/rollback", {"version": version_of(old)})["statusCode"] == 200
        assert stage.value == old_value
        at += 1
    # Claim, document and switch, note and start; parts where there are any.
    assert at == counter.writes >= 5
    assert set(outcomes) == set(documents)


def test_parts_of_long_ago_are_deleted_and_still_gone_back_to(stage: Stage) -> None:
    stage.push(large(1))
    first, value = stage.parts(), stage.value
    for points in range(6, 18):
        assert stage.push(small(points))["statusCode"] == 200
    assert stage.parts() == []
    assert stage.call("POST /ruleset/rollback", {"version": version_of(large(1))})["statusCode"] == 200
    assert (stage.parts(), stage.value) == (first, value)


def test_parts_that_a_publication_of_late_names_again_are_kept(stage: Stage) -> None:
    stage.push(large(1))
    for points in range(6, 14):
        assert stage.push(small(points))["statusCode"] == 200
    stage.call("POST /ruleset/rollback", {"version": version_of(large(1))})
    for points in range(14, 19):
        assert stage.push(small(points))["statusCode"] == 200
    assert stage.parts() != []
    assert [each["kind"] for each in stage.history()["publications"]].index("rollback") < 10


def test_a_part_that_a_hand_has_changed_is_written_again_and_never_read(stage: Stage) -> None:
    stage.push(large())
    name = stage.parts()[0]
    stage.push(small(6))
    stage.ssm.put_parameter(Name=name, Value="by hand", Overwrite=True)
    assert stage.push(large())["statusCode"] == 200
    assert stage.active.version == version_of(large())


def test_the_parts_of_what_a_hand_went_back_to_outlast_the_publications_after_it(stage: Stage) -> None:
    stage.push(large())
    switch = stage.value
    for points in range(6, 14):
        stage.push(small(points))
    stage.ssm.put_parameter(Name=NAME, Value=switch, Overwrite=True)
    for _ in range(3):
        assert stage.push(large())["statusCode"] == 200
    ledger = stage.publisher().ledger
    found = ledger.newest(1)[0]
    assert (found.kind, found.parts, found.folder) == ("found", len(stage.parts()), stage.parts()[0].split("/")[-2])
    for number in range(found.number + 1, found.number + 15):
        assert ledger.claim(Publication(number, version_of(small(6)), "", 0, "", "", "push", "given up"))
    # Whoever reads at this moment reads the old one's parts.
    counter = Counter(stage.document)
    assert stage.push(small(15), counter=counter)["statusCode"] == 200
    assert set(counter.seen) == {parse_ruleset(large()).document, parse_ruleset(small(15)).document}
    for points in range(16, 28):
        stage.push(small(points))
    assert stage.parts() == []


class Hooked(SsmShelf):
    """A shelf before some steps of which something else happens, once."""

    def __init__(self, ssm: Any, before: str, hook: Callable[[], object]) -> None:
        super().__init__(ssm, NAME)
        self._before, self._hooks = before, [hook]

    def drop_parts(self, folder: str, count: int) -> None:
        self._happen("drop_parts")
        super().drop_parts(folder, count)

    def put_parts(self, parts: Any) -> str:
        self._happen("put_parts")
        return super().put_parts(parts)

    def _happen(self, step: str) -> None:
        if step == self._before and self._hooks:
            self._hooks.pop()()


def publish_amid(stage: Stage, document: Mapping[str, object], before: str, hook: Callable[[], object]) -> Receipt:
    """Push a document, and let something happen before a step of that."""
    publisher = _with(stage.publisher(), Hooked(stage.ssm, before, hook))
    return publish(publisher, parse_ruleset(document).document, Intent(CALLER, "", None))


def test_parts_are_deleted_while_nobody_else_can_go_back_to_them(stage: Stage) -> None:
    stage.push(large())
    for points in range(6, 15):
        stage.push(small(points))
    refused: list[str] = []

    def go_back() -> None:
        assert stage.parts() != []
        with pytest.raises(UnderWayError):
            roll_back(stage.publisher(), version_of(large()), Intent("", "", None))
        refused.append(stage.active.version)

    publish_amid(stage, small(15), "drop_parts", go_back)
    assert refused == [version_of(small(14))]
    assert (stage.active.version, stage.parts()) == (version_of(small(15)), [])


def test_the_same_push_sent_twice_at_once_is_one_publication(stage: Stage) -> None:
    stage.push(small(6))
    receipts: list[Receipt] = []

    def push_again() -> None:
        receipts.append(publish(stage.publisher(), parse_ruleset(large()).document, Intent("", "", None)))

    second = publish_amid(stage, large(), "put_parts", push_again)
    assert [second] == receipts
    assert stage.active.version == version_of(large())
    assert kinds(stage.history()["publications"]) == [
        ("push", version_of(large()), "published"),
        ("push", version_of(small(6)), "published"),
        ("found", version_of(small()), "published"),
    ]
    assert len(stage.machines.started) == 2


def test_a_draft_that_never_was_active_cannot_be_gone_back_to(stage: Stage) -> None:
    def die() -> None:
        raise Broken

    stage.push(small(6))
    with pytest.raises(Broken):
        publish_amid(stage, large(), "put_parts", die)
    assert kinds(stage.history()["publications"])[0] == ("push", version_of(large()), "begun")
    stage.now = NOW + timedelta(milliseconds=CLAIM_LASTS + 1)
    answer = stage.call("POST /ruleset/rollback", {"version": version_of(large())})
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (404, "unknown_ruleset")


def test_what_died_right_after_the_switch_can_be_gone_back_to_once_another_is_published(stage: Stage) -> None:
    parts = 0
    while stage.active.version != version_of(large()):
        stage.push(large(), counter=Counter(stage.document, at=parts, is_made=True))
        stage.now += timedelta(milliseconds=CLAIM_LASTS + 1)
        parts += 1
    assert stage.publisher().ledger.find_documents(version_of(large())) == []
    assert stage.push(small(6))["statusCode"] == 200
    assert stage.call("POST /ruleset/rollback", {"version": version_of(large())})["statusCode"] == 200
    assert stage.active.version == version_of(large())


def test_history_is_told_in_pages(stage: Stage) -> None:
    for points in range(6, 11):
        stage.push(small(points))
    first = stage.history(limit="4")
    assert [each["number"] for each in first["publications"]] == [6, 5, 4, 3]
    second = stage.history(limit="4", cursor=first["next_cursor"])
    assert ([each["number"] for each in second["publications"]], second["next_cursor"]) == ([2, 1], None)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"cursor": "x"}, {"since": "1"}])
def test_a_history_that_cannot_be_told_is_refused(stage: Stage, query: dict[str, str]) -> None:
    answer = stage.call("GET /ruleset/history", query=query)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "invalid_query")


def test_a_bad_ruleset_is_refused_with_its_problems_and_changes_nothing(stage: Stage) -> None:
    before = stage.value
    bad = {**small(), "tiers": [{"name": "hot", "from": 99}, {"name": "cold"}], "colour": "red"}
    answer = stage.push(bad)
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["code"]) == (400, "invalid_ruleset")
    assert {each["path"] for each in body["problems"]} == {"colour", "tiers[0].from"}
    assert stage.value == before


VERSION = "0" * 12
BAD_BODIES: dict[str, object] = {
    "no body": None,
    "no JSON": "{",
    "no object": "[]",
    "no document": {"replaces": VERSION},
    "a document that is a text": {"document": "tiers: []", "replaces": VERSION},
    "no version": {"document": {}},
    "half a version": {"document": {}, "replaces": "abcd"},
    "an unknown field": {"document": {}, "replaces": VERSION, "reason": ""},
    "a why of two lines": {"document": {}, "replaces": VERSION, "why": "a\nb"},
    "a why without end": {"document": {}, "replaces": VERSION, "why": "x" * 501},
    "a field twice": f'{{"document": {{"total": {{}}, "total": {{}}}}, "replaces": "{VERSION}"}}',
    "no number": f'{{"document": {{"total": NaN}}, "replaces": "{VERSION}"}}',
    "too much": json.dumps({"why": "x" * 3_000_000}),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_what_is_no_push_is_refused(stage: Stage, case: str) -> None:
    answer = stage.call("PUT /ruleset", BAD_BODIES[case])
    assert (answer["statusCode"], json.loads(answer["body"])["code"] in ("invalid_request", "invalid_ruleset")) == (
        400,
        True,
    )
    assert stage.active.version == version_of(small())


@pytest.mark.parametrize("said", [{}, {"version": "abc"}, {"version": 5}, {"version": VERSION, "replaces": "a"}])
def test_what_is_no_rollback_is_refused(stage: Stage, said: dict[str, object]) -> None:
    answer = stage.call("POST /ruleset/rollback", said)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "invalid_request")


def test_a_version_that_was_never_published_is_unknown(stage: Stage) -> None:
    answer = stage.call("POST /ruleset/rollback", {"version": "ffffffff"})
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (404, "unknown_ruleset")


def twins() -> tuple[dict[str, object], dict[str, object], str]:
    """Return two rulesets whose versions begin with the same four digits, and those."""
    known: dict[str, dict[str, object]] = {}
    for number in range(5000):
        document = small(label=f"Plan {number}")
        begins = version_of(document)[:4]
        if begins in known:
            return known[begins], document, begins
        known[begins] = document
    raise AssertionError("no two of five thousand versions begin with the same four of 65,536 digits")


def test_a_beginning_that_several_versions_have_is_refused(stage: Stage) -> None:
    one, other, begins = twins()
    stage.push(one)
    stage.push(other)
    stage.push(small(6))
    answer = stage.call("POST /ruleset/rollback", {"version": begins})
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "invalid_query")
    assert stage.call("POST /ruleset/rollback", {"version": version_of(one)})["statusCode"] == 200
    assert stage.active.version == version_of(one)


def test_the_parts_of_what_is_active_outlast_any_number_of_dead_publications(stage: Stage) -> None:
    stage.push(large())
    ledger = stage.publisher().ledger
    for number in range(3, 20):
        assert ledger.claim(Publication(number, version_of(small(6)), "", 0, "", "", "push", "given up"))
    assert stage.push(large())["statusCode"] == 200
    assert stage.active.version == version_of(large())


def test_what_cannot_be_read_any_more_is_replaced(stage: Stage) -> None:
    stage.push(large())
    stage.ssm.delete_parameter(Name=stage.parts()[0])
    assert stage.history()["active"]["version"] == ""
    answer = stage.push(small(6), replaces="")
    assert answer["statusCode"] == 200
    assert stage.active.version == version_of(small(6))
