"""A searcher's side of the relay, for tests: signs the body as the documentation says and sends it."""

from __future__ import annotations

import json
from typing import Any

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_hash.auto import keccak

from infra.devnet.node import to_hex

IDENTITY = Account.from_key(b"\x11" * 32)


def signature(body: bytes) -> str:
    signed = IDENTITY.sign_message(encode_defunct(text="0x" + keccak(body).hex()))
    return f"{IDENTITY.address}:0x{bytes(signed.signature).hex()}"


def post(url: str, method: str, params: Any, header: str | None = "sign", timeout: float = 60.0) -> httpx.Response:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [params]}).encode()
    headers = {"Content-Type": "application/json"}
    if header is not None:
        headers["X-Flashbots-Signature"] = signature(body) if header == "sign" else header
    return httpx.post(url, content=body, headers=headers, timeout=timeout)


def send_bundle(url: str, raws: list[bytes], block: int, **more: Any) -> str:
    answer = post(
        url, "eth_sendBundle", {"txs": [to_hex(raw) for raw in raws], "blockNumber": hex(block), **more}
    ).json()
    assert "result" in answer, answer
    hash_: str = answer["result"]["bundleHash"]
    return hash_
