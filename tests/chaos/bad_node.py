"""A node between the flows and the chain that can be told to lie, to lag, to hang and to forget methods; and its lies."""

from __future__ import annotations

import time
from collections.abc import Collection
from types import TracebackType
from typing import Any

from flows.world import World
from infra.devnet.node import data, to_hex
from schemas.config import TripwireConfig, dump_config
from tests.chain.bending_proxy import Bend, BendingProxy
from tests.chain.pausable_proxy import PausableProxy

#: keccak("Sync(uint112,uint112)") of a Uniswap V2 pair, and where it keeps both reserves.
_SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
_RESERVES = 8
_TIMEOUT_S = 1.0


class BadNode:
    """Honest until told otherwise. The flows of a world that it was `put_into` before they start know no other node."""

    def __init__(self) -> None:
        self._http: BendingProxy | None = None
        self._ws: PausableProxy | None = None

    def put_into(self, world: World) -> None:
        """Give the flows of a started world this node instead of its own; the tripwire compares every pool at every block."""
        anvil, config = world.devnet.anvil, world.config
        self._http, self._ws = BendingProxy(anvil.http_url), PausableProxy(anvil.port)
        update = {
            "http_url": self._http.url, "ws_url": f"ws://127.0.0.1:{self._ws.port}", "request_timeout_s": _TIMEOUT_S,
            "silent_after_s": 2.0,
        }  # fmt: skip
        config = config.model_copy(
            update={
                "chain": config.chain.model_copy(update=update),
                "tripwire": TripwireConfig(min_sample=100, delay_blocks=1),
            }
        )
        world.config_path.write_text(dump_config(config))

    def lie(self, *bends: Bend) -> None:
        """From now on, all of these; none: the truth."""
        assert self._http is not None
        self._http.bend = _all(bends) if bends else None

    def fall_behind(self, head: dict[str, Any]) -> None:
        """Nothing is heard of new heads, and who asks is told an old one."""
        assert self._ws is not None
        self._ws.pause()
        self.lie(_old(head))

    def catch_up(self) -> None:
        """Everything since is told."""
        assert self._ws is not None
        self.lie()
        self._ws.resume()

    def __enter__(self) -> BadNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in (self._http, self._ws):
            if proxy is not None:
                proxy.__exit__()


def _all(bends: Collection[Bend]) -> Bend:
    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        for each in bends:
            answer = each(method, params, answer)
        return answer

    return bend


def _old(head: dict[str, Any]) -> Bend:
    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return answer | {"result": head}
        return answer | {"result": head["number"]} if method == "eth_blockNumber" else answer

    return bend


# ---------------------------------------------------------------- lies


def _of_reserves(reserves: int, percent: int) -> int:
    """The packed reserves with another first one."""
    mask = (1 << 112) - 1
    return (reserves & ~mask) | ((reserves & mask) * percent // 100)


def in_logs(pairs: Collection[bytes], percent: int) -> Bend:
    """Receipts say that these pairs' first reserve is so much per cent of what it is."""

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_getBlockReceipts" and answer.get("result"):
            for log in (log for receipt in answer["result"] for log in receipt["logs"]):
                if log["topics"][:1] == [_SYNC] and data(log["address"]) in pairs:
                    told = data(log["data"])
                    first = int.from_bytes(told[:32], "big") * percent // 100
                    log["data"] = to_hex(first.to_bytes(32, "big") + told[32:])
        return answer

    return bend


def in_traces(pairs: Collection[bytes], percent: int) -> Bend:
    """The same of what traces of a block say that it wrote."""

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "debug_traceBlockByHash" and answer.get("result"):
            for address, account in ((a, s) for one in answer["result"] for a, s in one["result"]["post"].items()):
                for key, value in (account.get("storage") or {}).items():
                    if int(key, 16) == _RESERVES and data(address) in pairs:
                        account["storage"][key] = to_hex(_of_reserves(int(value, 16), percent).to_bytes(32, "big"))
        return answer

    return bend


def everything_succeeds(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Simulated calls succeed, whatever they do."""
    if method == "eth_simulateV1" and "result" in answer:
        for call in (call for block in answer["result"] for call in block["calls"]):
            call["status"] = "0x1"
    return answer


def base_fee(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Headers with a base fee that is half of the chain's."""
    if method == "eth_getBlockByHash" and answer.get("result"):
        answer["result"]["baseFeePerGas"] = hex(int(answer["result"]["baseFeePerGas"], 16) // 2)
    return answer


def hanging(*prefixes: str) -> Bend:
    """Methods that are answered too late."""

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method.startswith(prefixes):
            time.sleep(2 * _TIMEOUT_S)
        return answer

    return bend
