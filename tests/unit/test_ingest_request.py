"""What SDKs really send, and what an attacker would, up to the queue: bodies, keys, paths, batches, the answer."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from leadscore.ingest.decoding import MAX_BODY_BYTES, decode_body
from leadscore.ingest.refusals import RequestRefusedError
from leadscore.ingest.requests import MAX_EVENTS, IngestRequest
from leadscore.ingest.responses import answer_receipt, answer_refusal
from leadscore.ingest.write_keys import InvalidWriteKeysError, WriteKeys
from leadscore.usecases.ingesting import Receipt, Rejected, ingest_events
from tests.functions.envelopes import basic, proxy_event

RECEIVED = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
KEYS = {"web": "wk-web", "server": "wk-server"}


def entry(source: str, key: str, **rest: object) -> dict[str, object]:
    return {"source": source, "sha256": sha256(key.encode()).hexdigest(), **rest}


WRITE_KEYS = WriteKeys.parse(json.dumps([entry(source, key) for source, key in KEYS.items()]))
EVENT = {"type": "track", "event": "Trial Started", "userId": "u1", "messageId": "m1"}


class FakeQueue:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_all(self, bodies: Sequence[str]) -> None:
        self.bodies.extend(bodies)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body)["event"] for body in self.bodies]


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


def post(queue: FakeQueue, path: str, content: object, **options: Any) -> Receipt:
    """Send `content` as JSON, by the key of `server` unless the headers are given."""
    options.setdefault("headers", basic(KEYS["server"]))
    keys = options.pop("keys", WRITE_KEYS)
    body = content if isinstance(content, bytes | str) else json.dumps(content)
    request = IngestRequest.from_proxy(proxy_event(path, body, **options))
    return ingest_events(request, write_keys=keys, queue=queue, received_at=RECEIVED)


def refusal(queue: FakeQueue, path: str, content: object, **options: Any) -> tuple[int, str]:
    with pytest.raises(RequestRefusedError) as caught:
        post(queue, path, content, **options)
    assert queue.bodies == []
    return caught.value.status, caught.value.code


# Bodies


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain;charset=UTF-8"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_the_bytes_are_believed_and_no_header(queue: FakeQueue, headers: dict[str, str], *, compressed: bool) -> None:
    body = json.dumps({"batch": [EVENT]}).encode()
    body = gzip.compress(body) if compressed else body
    assert post(queue, "/batch", body, headers={**basic("wk-web"), **headers}).accepted == 1
    assert post(queue, "/batch", b"\xef\xbb\xbf" + json.dumps({"batch": [EVENT]}).encode()).accepted == 1


UNREADABLE = {
    "no body": None,
    "empty": "",
    "no JSON": '{"batch": [',
    "two documents": "{}{}",
    "not UTF-8": b"\xff\xfe{\x00}\x00",
    "form fields": "batch=1&writeKey=k",
    "a list": "[]",
    "a text": '"x"',
    "half a gzip": gzip.compress(b'{"batch":[]}')[:-9],
    "gzip with a tail": gzip.compress(b'{"batch":[]}') + b"x",
    "damaged gzip": b"\x1f\x8b" + b"\x00" * 30,
    "half a character": "\ud800",
    "a hundred thousand brackets": "[" * 100_000,
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_body_is_a_400(queue: FakeQueue, body: bytes | str | None) -> None:
    request = IngestRequest.from_proxy(proxy_event("/batch", body, headers=basic("wk-web")))
    with pytest.raises(RequestRefusedError) as caught:
        ingest_events(request, write_keys=WRITE_KEYS, queue=queue, received_at=RECEIVED)
    assert (caught.value.status, caught.value.code) == (400, "unreadable_body")


@pytest.mark.parametrize("body", ["not base64!", "YQ=", "é", "e30=!!!!"])
def test_base64_that_is_none_is_a_400(body: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        decode_body(body, is_base64=True)
    assert caught.value.code == "unreadable_body"


def test_four_megabytes_are_taken_and_a_byte_more_is_a_413() -> None:
    largest = b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"'
    for body in (largest.decode(), gzip_base64(largest)):
        assert isinstance(decode_body(body, is_base64=body[0] != '"'), str)
    too_large = largest[:-1] + b'x"'
    for body in (too_large.decode(), "é" * (MAX_BODY_BYTES // 2 + 1), gzip_base64(too_large)):
        with pytest.raises(RequestRefusedError) as caught:
            decode_body(body, is_base64=body[0] == "H")
        assert (caught.value.status, caught.value.code) == (413, "body_too_large")


def gzip_base64(content: bytes) -> str:
    encoded: str = proxy_event("/batch", gzip.compress(content))["body"]
    return encoded


def ten_megabytes_of_gzip() -> bytes:
    """A gzip of 10 MB that holds 10 GB, from one deflated block that is repeated."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflater.compress(b"0" * 1_000_000)
    block = deflater.compress(b"0" * 10_000_000) + deflater.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + block * (10 * 1024 * 1024 // len(block))


BOMBS = {
    "a hundred megabytes in a hundred kilobytes": gzip.compress(b"0" * (100 * 1024 * 1024)),
    "gigabytes in four megabytes": ten_megabytes_of_gzip()[:MAX_BODY_BYTES],
    "ten megabytes of gzip": ten_megabytes_of_gzip(),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_zip_bomb_is_a_413_in_bounded_memory(bomb: bytes) -> None:
    body = b64encode(bomb).decode()
    peak, status = measure(body, is_base64=True)
    assert status == 413
    assert peak < 5 * MAX_BODY_BYTES


def test_a_body_beyond_the_bound_is_refused_before_it_is_copied() -> None:
    too_large = "A" * (MAX_BODY_BYTES * 4 // 3 + 8)
    for is_base64 in (True, False):
        peak, status = measure(too_large, is_base64=is_base64)
        assert status == 413
        assert peak < 64 * 1024


def measure(body: str, *, is_base64: bool) -> tuple[int, int]:
    """Return the most memory that decoding took beyond the body itself, and the status of the refusal, or 200."""
    status = 200
    tracemalloc.start()
    try:
        decode_body(body, is_base64=is_base64)
    except RequestRefusedError as refused:
        status = refused.status
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, status


@pytest.mark.parametrize("filler", ["{},", "[],", '{"":0},', "1,", '"",', "0e9,", '[[{"a":'])
def test_four_megabytes_of_any_json_fit_the_function(filler: str) -> None:
    """Small values cost the most: their objects are many times as large as their text."""
    count = (MAX_BODY_BYTES - 100) // len(filler)
    body = '{"batch":[' + filler * count + "0]}"
    assert measure(body, is_base64=False)[0] < 200 * 1024 * 1024


@pytest.mark.parametrize("number", ["1" * 4_000_000, "1." + "1" * 4_000_000, "1e" + "9" * 4_000_000])
def test_a_number_of_megabytes_is_read_in_no_time(queue: FakeQueue, number: str) -> None:
    """Reading so many digits as a whole number would take minutes."""
    event = '{"type":"track","event":"E","userId":"u","properties":{"a":' + number + "}}"
    receipt = post(queue, "/batch", '{"batch":[' + event + "]}")
    assert [rejected.code for rejected in receipt.rejected] in ([], ["invalid_number"])


# Keys


@pytest.mark.parametrize(
    ("headers", "query", "in_body", "source"),
    [
        (basic("wk-web"), None, None, "web"),
        ({"AUTHORIZATION": basic("wk-web")["Authorization"].replace("Basic", "basic")}, None, None, "web"),
        ({"Authorization": "Bearer wk-web"}, None, None, "web"),
        ({"X-Write-Key": "wk-web"}, None, None, "web"),
        ({}, {"writeKey": "wk-web"}, None, "web"),
        ({}, None, "wk-web", "web"),
        pytest.param(basic(""), None, "wk-web", "web", id="an empty user is no key"),
        pytest.param({"Authorization": "Basic ???"}, None, "wk-web", "web", id="damaged Basic is no key"),
        pytest.param({**basic("wk-web"), "X-Write-Key": "wk-server"}, None, None, "web", id="Basic before X-Write-Key"),
        pytest.param(
            {"Authorization": "Bearer wk-web", "X-Write-Key": "wk-server"}, None, None, "web", id="Bearer before it"
        ),
        pytest.param({"X-Write-Key": "wk-web"}, {"writeKey": "wk-server"}, None, "web", id="X-Write-Key before query"),
        pytest.param({}, {"writeKey": "wk-web"}, "wk-server", "web", id="query before body"),
    ],
)
def test_the_key_is_found_where_each_sdk_puts_it(
    queue: FakeQueue, headers: dict[str, str], query: dict[str, str] | None, in_body: str | None, source: str
) -> None:
    content = {"batch": [EVENT], "writeKey": in_body}
    receipt = post(queue, "/batch", content, headers=headers, query=query)
    assert receipt.source == source
    assert json.loads(queue.bodies[0])["source"] == source


@pytest.mark.parametrize(
    ("headers", "in_body", "code"),
    [
        ({}, None, "missing_write_key"),
        ({}, "", "missing_write_key"),
        ({}, 5, "missing_write_key"),
        (basic("wrong"), None, "invalid_write_key"),
        ({}, "wrong", "invalid_write_key"),
        pytest.param(basic("wrong"), "wk-web", "invalid_write_key", id="the first place decides"),
        ({}, "\ud800", "invalid_write_key"),
    ],
)
def test_without_a_valid_key_nothing_is_taken(
    queue: FakeQueue, headers: dict[str, str], in_body: object, code: str
) -> None:
    assert refusal(queue, "/batch", {"batch": [EVENT], "writeKey": in_body}, headers=headers) == (401, code)


def test_the_body_behind_a_wrong_key_is_not_even_read(queue: FakeQueue) -> None:
    assert refusal(queue, "/batch", "{", headers=basic("wrong")) == (401, "invalid_write_key")


UNUSABLE_RESTRICTIONS: list[dict[str, object]] = [
    {"origins": "https://app.example"},
    {"origins": [None]},
    {"origins": []},
    {"server_only": "yes"},
    {"origin": ["https://app.example"]},
    {"server-only": True},
]


@pytest.mark.parametrize(
    "document",
    ["", "{}", "[1]"]
    + [json.dumps([{"source": source, "sha256": "0" * 64}]) for source in ("", 5, None)]
    + [json.dumps([{"source": "web", "sha256": digest}]) for digest in ("", "00", "g" * 64, 5, " " * 64, None)]
    + [json.dumps([entry("web", "k", **restriction)]) for restriction in UNUSABLE_RESTRICTIONS],
)
def test_a_document_of_write_keys_that_is_wrong_is_an_error_and_opens_nothing(document: str) -> None:
    with pytest.raises(InvalidWriteKeysError):
        WriteKeys.parse(document)


def test_no_keys_open_nothing() -> None:
    assert WriteKeys.parse("[]").find("") is None


def test_a_revoked_key_opens_nothing_and_the_others_still_do(queue: FakeQueue) -> None:
    entries = [entry("web", "wk-web", revoked="2026-02-01T00:00:00Z"), entry("server", "wk-server")]
    keys = WriteKeys.parse(json.dumps(entries))
    assert refusal(queue, "/batch", {"batch": [EVENT]}, headers=basic("wk-web"), keys=keys)[1] == "invalid_write_key"
    assert post(queue, "/batch", {"batch": [EVENT]}, headers=basic("wk-server"), keys=keys).source == "server"


def test_every_key_is_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(kept: bytes, presented: bytes) -> bool:
        compared.append(kept)
        return kept == presented

    monkeypatch.setattr("leadscore.ingest.write_keys.compare_digest", compare)
    for presented in (*KEYS.values(), "wrong"):
        WRITE_KEYS.find(presented)
    assert compared == [key.digest for key in WRITE_KEYS.keys] * 3


# Where a key may be used

BOUND = WriteKeys.parse(
    json.dumps(
        [
            entry("web", "wk-web", origins=["https://app.example", "http://localhost:3000"]),
            entry("server", "wk-server", server_only=True),
        ]
    )
)


@pytest.mark.parametrize("origin", ["https://app.example", "HTTPS://APP.EXAMPLE", "http://localhost:3000"])
@pytest.mark.parametrize("name", ["Origin", "origin"])
def test_a_bound_key_is_taken_from_its_own_pages(queue: FakeQueue, origin: str, name: str) -> None:
    headers = {**basic("wk-web"), name: origin}
    assert post(queue, "/batch", {"batch": [EVENT]}, headers=headers, keys=BOUND).source == "web"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://app.example, https://evil.example",
        "https://evil.example/https://app.example",
    ],
)
def test_a_bound_key_is_refused_from_anywhere_else(queue: FakeQueue, origin: str | None) -> None:
    headers = basic("wk-web") if origin is None else {**basic("wk-web"), "Origin": origin}
    # A body is not read, so the key in front is what decides.
    assert refusal(queue, "/batch", "{", headers=headers, keys=BOUND) == (403, "origin_not_allowed")


def test_a_bound_key_in_the_body_is_bound_as_well(queue: FakeQueue) -> None:
    content = {"batch": [EVENT], "writeKey": "wk-web"}
    evil = {"Origin": "https://evil.example"}
    assert refusal(queue, "/batch", content, headers=evil, keys=BOUND) == (403, "origin_not_allowed")
    assert post(queue, "/batch", content, headers={"Origin": "https://app.example"}, keys=BOUND).accepted == 1


@pytest.mark.parametrize("origin", ["https://app.example", "null", ""])
def test_a_servers_key_is_refused_from_any_page(queue: FakeQueue, origin: str) -> None:
    headers = {**basic("wk-server"), "Origin": origin}
    assert refusal(queue, "/batch", {"batch": [EVENT]}, headers=headers, keys=BOUND) == (403, "server_only_key")
    assert post(queue, "/batch", {"batch": [EVENT]}, headers=basic("wk-server"), keys=BOUND).source == "server"


@pytest.mark.parametrize(
    ("headers", "content", "source"),
    [
        pytest.param({**basic("wk-server"), "Origin": "x"}, "{", "server", id="a key that may not be used there"),
        pytest.param(basic("wk-server"), "{", "server", id="a body that is none"),
        pytest.param(basic("wrong"), "{", None, id="a wrong key"),
        pytest.param({}, "{", None, id="no key to be seen"),
    ],
)
def test_a_refusal_knows_whose_request_it_was(
    queue: FakeQueue, headers: dict[str, str], content: str, source: str | None
) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        post(queue, "/batch", content, headers=headers, keys=BOUND)
    assert caught.value.source == source


# Paths


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *(("/" + kind, kind) for kind in ("track", "identify", "page", "screen", "group", "alias")),
        ("/t", "track"),
        ("/i", "identify"),
        ("/p", "page"),
        ("/s", "screen"),
        ("/g", "group"),
        ("/a", "alias"),
        ("/track/", "track"),
        ("//track//", "track"),
        ("/v1/track", "track"),
    ],
)
def test_a_path_says_the_type_of_its_one_event(queue: FakeQueue, path: str, kind: str) -> None:
    content = {"userId": "u1", "event": "E", "groupId": "g1", "previousId": "a1"}
    receipt = post(queue, path, content)
    assert (receipt.single, receipt.accepted) == (True, 1)
    assert queue.events[0]["type"] == kind


@pytest.mark.parametrize("path", ["/batch", "/b", "/import", "/v1/batch", "/beacon/v1/batch/"])
def test_a_batch_path_takes_many_events(queue: FakeQueue, path: str) -> None:
    receipt = post(queue, path, {"batch": [EVENT, {**EVENT, "messageId": "m2"}]})
    assert (receipt.single, receipt.accepted) == (False, 2)
    assert [event["messageId"] for event in queue.events] == ["m1", "m2"]


def test_the_type_in_the_body_wins_over_the_path(queue: FakeQueue) -> None:
    post(queue, "/page", EVENT)
    assert queue.events[0]["type"] == "track"


def test_other_paths_and_methods_are_refused(queue: FakeQueue) -> None:
    for path in ("/leads", "/", "", "/tracks", "/track/x", "/projects/k/settings", "/sourceConfig"):
        assert refusal(queue, path, EVENT) == (404, "not_found")
    assert refusal(queue, "/track", EVENT, method="GET") == (405, "method_not_allowed")


# Batches


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({}, "missing_batch"),
        ({"batch": None}, "missing_batch"),
        ({"batch": {"0": EVENT}}, "missing_batch"),
        ({"batch": [EVENT], "context": [1]}, "invalid_field"),
        ('{"batch": [], "batch": []}', "duplicate_keys"),
        ('{"batch": [], "context": {"a": 1, "a": 2}}', "duplicate_keys"),
    ],
)
def test_a_batch_that_is_none_is_a_400(queue: FakeQueue, content: object, code: str) -> None:
    assert refusal(queue, "/batch", content) == (400, code)


def test_an_empty_batch_is_taken(queue: FakeQueue) -> None:
    assert post(queue, "/batch", {"batch": []}) == Receipt("server", 0, [], single=False)


def test_bad_events_are_named_and_their_neighbours_are_queued(queue: FakeQueue) -> None:
    bad = ['{"type":"track"', '"userId":"u1","event":"E"']
    batch = [
        json.dumps(EVENT),
        "null",
        '{"type":"nonsense","userId":"u1"}',
        '{"type":"page"}',
        ",".join([*bad, '"properties":{"a":NaN}}']),
        ",".join([*bad, '"properties":{"a":1e400}}']),
        ",".join([*bad, '"properties":{"a":' + "9" * 5000 + "}}"]),
        ",".join([*bad, '"properties":{"a":"\\ud800"}}']),
        ",".join([*bad, '"userId":"u2"}']),
        ",".join([*bad, '"properties":{"a":' + "[" * 200 + "]" * 200 + "}}"]),
        ",".join([*bad, '"properties":{"a":"' + "x" * 40_000 + '"}}']),
        ",".join([*bad, '"timestamp":"soon"}']),
        json.dumps({**EVENT, "messageId": "m2"}),
    ]
    receipt = post(queue, "/batch", '{"batch":[' + ",".join(batch) + "]}")
    assert [event["messageId"] for event in queue.events] == ["m1", "m2"]
    assert receipt.accepted == 2
    assert [(rejected.index, rejected.code) for rejected in receipt.rejected] == [
        (1, "invalid_event"),
        (2, "unknown_type"),
        (3, "missing_id"),
        (4, "invalid_number"),
        (5, "invalid_number"),
        (6, "invalid_number"),
        (7, "invalid_text"),
        (8, "duplicate_keys"),
        (9, "too_deep"),
        (10, "event_too_large"),
        (11, "invalid_timestamp"),
    ]


def test_context_and_sent_at_of_the_batch_reach_each_event(queue: FakeQueue) -> None:
    late = {"originalTimestamp": "2026-03-01T18:59:50Z"}
    content = {
        "context": {"ip": "192.0.2.1", "traits": {"email": "a@b.example"}},
        "sentAt": "2026-03-01T19:00:00Z",
        "batch": [
            {**EVENT, **late, "context": {"ip": "192.0.2.2"}},
            {**EVENT, **late, "context": None, "sentAt": "2026-03-01T18:59:55Z"},
            {"type": "identify", "userId": "u1", **late},
        ],
    }
    post(queue, "/batch", content)
    first, second, third = queue.events
    assert first["context"] == {"ip": "192.0.2.2"}
    assert second["context"] == {"ip": "192.0.2.1"}
    assert [event["timestamp"][-10:] for event in queue.events] == ["59:50.250Z", "59:55.250Z", "59:50.250Z"]
    assert third["traits"] == {"email": "a@b.example"}


def test_the_sent_at_header_stands_in_for_that_of_the_body(queue: FakeQueue) -> None:
    headers = {**basic("wk-web"), "SentAt": "2026-03-01T19:00:00Z"}
    post(queue, "/track", {**EVENT, "timestamp": "2026-03-01T18:59:50Z"}, headers=headers)
    assert queue.events[0]["timestamp"] == "2026-03-01T11:59:50.250Z"


def test_the_number_of_events_is_bounded(queue: FakeQueue) -> None:
    assert refusal(queue, "/batch", {"batch": [{}] * (MAX_EVENTS + 1)}) == (413, "too_many_events")
    assert len(post(queue, "/batch", {"batch": [{}] * MAX_EVENTS}).rejected) == MAX_EVENTS


def test_a_shared_context_cannot_multiply_into_more_than_the_bound(queue: FakeQueue) -> None:
    content = {"context": {"x": "x" * 30_000}, "batch": [EVENT] * 1_000}
    assert refusal(queue, "/batch", content) == (413, "batch_too_large")


def test_an_alias_to_itself_is_accepted_and_not_queued(queue: FakeQueue) -> None:
    receipt = post(queue, "/alias", {"userId": "u1", "previousId": "u1"})
    assert (receipt.accepted, receipt.rejected, queue.bodies) == (1, [], [])


def test_a_message_is_compact_ascii_with_event_source_and_how_it_came(queue: FakeQueue) -> None:
    post(queue, "/track", {**EVENT, "properties": {"name": "é\uffff\x00"}})
    assert queue.bodies[0].isascii()
    assert ": " not in queue.bodies[0]
    assert json.loads(queue.bodies[0])["event"]["properties"] == {"name": "é\uffff\x00"}
    assert json.loads(queue.bodies[0]).keys() == {"event", "source", "edge"}


# Answers


def test_a_receipt_is_answered_by_exactly_200() -> None:
    response = answer_receipt(Receipt("web", 2, [Rejected(1, "missing_id", "nobody")], single=False))
    assert response["statusCode"] == 200
    assert json.loads(response["body"]) == {
        "success": True,
        "accepted": 2,
        "rejected": [{"index": 1, "code": "missing_id", "message": "nobody"}],
    }
    assert response["headers"]["Content-Type"] == "application/json"
    assert response["headers"]["Access-Control-Allow-Origin"] == "*"
    assert response["headers"]["Access-Control-Expose-Headers"] == "Retry-After"


def test_a_single_event_that_was_rejected_is_answered_by_400() -> None:
    response = answer_receipt(Receipt("web", 0, [Rejected(0, "missing_id", "nobody")], single=True))
    assert response["statusCode"] == 400
    assert json.loads(response["body"]) == {"code": "missing_id", "message": "nobody"}


@pytest.mark.parametrize(("status", "retry_after"), [(401, None), (413, None), (503, "1")])
def test_a_refusal_has_a_code_a_message_and_where_it_helps_a_time_to_come_back(
    status: int, retry_after: str | None
) -> None:
    response = answer_refusal(RequestRefusedError(status, "some_code", "some message"))
    assert response["statusCode"] == status
    assert json.loads(response["body"]) == {"code": "some_code", "message": "some message"}
    assert response["headers"].get("Retry-After") == retry_after
    assert response["headers"]["Access-Control-Allow-Origin"] == "*"
