"""Every reply that is documented or was seen, and every one that nobody should send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.relays.answers import MAX_ANSWER_CHARS, classify, readable
from schemas.submissions import SubmissionStatus as Status

HASH = "0x" + "ab" * 32


def answer(status: int, document: object) -> Status:
    return classify(status, json.dumps(document).encode()).status


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"jsonrpc": "2.0", "id": "123", "result": {"bundleHash": HASH}}, True),
        ({"result": {"bundleHash": HASH}}, True),
        ({"jsonrpc": "2.0", "id": 1, "result": {"bundleHash": HASH, "smart": "true"}}, True),
        ({"bundleHash": HASH}, True),
        ({"result": HASH}, True),
        ({"result": f'"{HASH}"'}, True),
        ({"result": None}, False),
        ({"result": "nil"}, False),
        ({"result": 200, "error": None, "id": 1}, False),
        ({"result": True}, False),
        ({"result": [HASH]}, False),
        ({"result": {}}, False),
        ({"result": {"bundleHash": "0x12"}}, False),
    ],
)
def test_accepted(document: object, named: bool) -> None:
    result = classify(200, json.dumps(document).encode())
    assert result.status is Status.ACCEPTED and not result.again
    assert result.bundle_hash == (bytes.fromhex(HASH[2:]) if named else b"")


@pytest.mark.parametrize("http_status", [200, 400])
@pytest.mark.parametrize(
    "error",
    [
        *({"code": code, "message": "no"} for code in (-32700, -32600, -32601, -32602, -32000)),
        {"code": -32000, "message": "unable to decode bundle"},
        *(
            {"code": -32000, "message": m}
            for m in (
                "invalid inclusion", "invalid bundle body size", "invalid bundle body", "backrun not found",
                "backrun invalid bundle", "backrun invalid inclusion", "unsupported bundle version", "bundle too deep",
                "invalid bundle constraints", "invalid revert mode", "invalid bundle privacy", "mev-share service error",
            )
        ),
        "unable to decode txs",
        {"unknown": "shape"},
        ["odd"],
    ],
)  # fmt: skip
def test_rejected(error: object, http_status: int) -> None:
    result = classify(http_status, json.dumps({"error": error}).encode())
    assert result.status is Status.REJECTED and not result.again


@pytest.mark.parametrize("http_status", [300, 301, 308, 400, 404, 405, 413, 415, 422])
def test_rejected_by_status_alone(http_status: int) -> None:
    assert classify(http_status, b"<html>").status is Status.REJECTED


@pytest.mark.parametrize(
    ("http_status", "document"),
    [
        (200, {"error": {"code": -32025, "message": "invalid flashbots signature"}}),
        (400, {"error": {"code": -32600, "message": "signature is required"}}),
        (200, {"error": {"code": -32600, "message": "no signature provided"}}),
        (200, {"error": {"code": -32600, "message": "invalid signature provided"}}),
        (403, {"error": "error in signature check 0x00"}),
        (403, "forbidden"),
        (401, {}),
    ],
)
def test_unauthorised(http_status: int, document: object) -> None:
    assert answer(http_status, document) is Status.UNAUTHORISED


@pytest.mark.parametrize(
    ("http_status", "document"),
    [
        (429, {"error": "slow down"}),
        (429, {"result": {"bundleHash": HASH}}),
        (503, "unavailable"),
        (200, {"error": {"code": -32603, "message": "internal error"}}),
        (500, {"error": {"code": -32603, "message": "internal error"}}),
        (200, {"error": {"code": -32005, "message": "limit exceeded"}}),
    ],
)
def test_retryable(http_status: int, document: object) -> None:
    result = classify(http_status, json.dumps(document).encode())
    assert result.status is Status.RETRYABLE and result.again


@pytest.mark.parametrize(
    ("http_status", "body", "again"),
    [
        (200, b"", False),
        (200, b"<html>OK</html>", False),
        (200, b"[]", False),
        (200, b'[{"result":null}]', False),
        (200, b"{}", False),
        (200, b'{"jsonrpc":"2.0","id":1}', False),
        (200, b'{"error":null,"id":1}', False),
        (200, b'{"result":false}', False),
        (200, b'{"result":404}', False),
        (200, b'{"result":"perhaps"}', False),
        (200, b'{"result":1.5}', False),
        (200, b'{"result":{"bundleHash":"0x', False),
        (200, b"[" * 200_000, False),
        (204, b"", False),
        (408, b"", True),
        (500, b"", True),
        (500, b'{"error":"something broke"}', True),
        (502, b"bad gateway", True),
        (504, b"", True),
        (524, b"<html>A timeout occurred</html>", True),
    ],
)
def test_ambiguous_is_not_rejected(http_status: int, body: bytes, again: bool) -> None:
    result = classify(http_status, body)
    assert result.status is Status.AMBIGUOUS and result.again is again


@given(http_status=st.integers(100, 599), body=st.binary(max_size=60))
def test_any_bytes_have_a_meaning_and_garbage_is_never_accepted(http_status: int, body: bytes) -> None:
    result = classify(http_status, body)
    if result.status is Status.ACCEPTED:
        assert isinstance(json.loads(body), dict)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["result", "error", "bundleHash", "code", "message"]), inner)
    ),
    max_leaves=8,
)


@given(http_status=st.sampled_from([200, 400, 403, 429, 500]), document=_json)
def test_any_json_has_a_meaning(http_status: int, document: object) -> None:
    result = classify(http_status, json.dumps(document).encode())
    assert result.status in (Status.ACCEPTED, Status.REJECTED, Status.RETRYABLE, Status.UNAUTHORISED, Status.AMBIGUOUS)
    assert len(result.bundle_hash) in (0, 32)
    if isinstance(document, dict) and document.get("error") is not None:
        assert result.status is not Status.ACCEPTED


def test_a_kept_answer_holds_no_transaction_and_is_short() -> None:
    raw = "02f8" + "9c" * 110
    kept = readable(f'{{"error":"unable to decode 0x{raw}","hash":"{HASH}"}}'.encode())
    assert raw not in kept and "<" in kept and HASH in kept
    assert len(readable(b"x " * 10_000)) == MAX_ANSWER_CHARS
    assert readable(b"\xff\xfe") == "\ufffd\ufffd"
