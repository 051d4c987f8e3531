"""The real pools of concentrated liquidity (v3-core, PancakeSwap v3-core, v4-core from npm) in an EVM, driven by small callers."""

from __future__ import annotations

import json
import re
import subprocess
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any

import pyrevm
import pytest
from eth_abi import decode, encode

from infra.chain.keccak import keccak
from infra.toolchain import paths
from operators.pools.base import Found
from operators.pools.concentrated import ConcentratedPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool
from operators.simulation.engine import Engine
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.verdict import NO_REPORT, Report, Verdict
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import AccountSlots
from schemas.reads import Code, Read, View

OWNER = "0x" + "44" * 20
FACTORY = "0x" + "45" * 20
COINBASE = b"\x46" * 20
ENV = BlockEnv(
    chain_id=1,
    number=1,
    timestamp=1_700_000_000,
    coinbase=COINBASE,
    base_fee=0,
    gas_limit=30_000_000,
    prevrandao=bytes(32),
    difficulty=0,
    excess_blob_gas=0,
    fork="Cancun",
)
_RICH = 2**250
_SOURCE = Path(__file__).parent / "callers" / "Callers.sol"
_V3_ARTIFACTS = {
    V3Pool: ("@uniswap/v3-core", "artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json"),
    PancakeV3Pool: ("@pancakeswap/v3-core", "artifacts/contracts/PancakeV3Pool.sol/PancakeV3Pool.json"),
}


class Reverted(Exception):
    """The call reverted; the message is what it returned, decoded where it is text."""


@cache
def _compiled() -> dict[str, bytes]:
    """Creation code of the callers by name."""
    request = {
        "language": "Solidity",
        "sources": {"Callers.sol": {"content": _SOURCE.read_text()}},
        "settings": {
            "evmVersion": "cancun",
            "optimizer": {"enabled": True},
            "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
        },
    }
    done = subprocess.run(
        [str(paths.solc()), "--standard-json"], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    errors = [error["formattedMessage"] for error in answer.get("errors", ()) if error["severity"] == "error"]
    assert not errors, errors
    return {
        name: bytes.fromhex(contract["evm"]["bytecode"]["object"])
        for name, contract in answer["contracts"]["Callers.sol"].items()
    }


@cache
def _creation_code(package: str, artifact: str) -> bytes:
    """Creation code of a real contract. Skips the test where its npm package is not installed."""
    try:
        content = json.loads((paths.npm_package(package) / artifact).read_text())
    except paths.ToolMissing as error:
        pytest.skip(str(error))
    code = content["bytecode"]
    return bytes.fromhex((code["object"] if isinstance(code, dict) else code).removeprefix("0x"))


class World:
    """An EVM with two coins. Calls that revert change nothing."""

    def __init__(self) -> None:
        self.evm = pyrevm.EVM(spec_id="Cancun")
        self.evm.insert_account_info(OWNER, pyrevm.AccountInfo(balance=10**30))
        self.accounts: list[str] = []
        self.time = ENV.timestamp - 1000
        self.token0, self.token1 = sorted(self.create(_compiled()["Coin"]) for _ in range(2))

    def create(self, code: bytes, arguments: bytes = b"") -> str:
        self.accounts.append(str(self.evm.deploy(OWNER, code + arguments)).lower())
        return self.accounts[-1]

    def enrich(self, *holders: str) -> None:
        for token in (self.token0, self.token1):
            for holder in holders:
                self.call(token, "mint(address,uint256)", holder, _RICH)

    def call(self, to: str, signature: str, *arguments: Any, returns: tuple[str, ...] = ()) -> tuple[Any, ...]:
        answer = self.raw_call(to, calldata(signature, *arguments))
        return decode(returns, answer) if returns else ()

    def raw_call(self, to: str, data: bytes) -> bytes:
        try:
            return bytes(self.evm.message_call(caller=OWNER, to=to, calldata=data))
        except RuntimeError as error:
            raise Reverted(_reason(str(error))) from None

    def answer(self, read: Read) -> bytes | None:
        """What a chain in this state answers to a read."""
        if isinstance(read, View):
            checkpoint = self.evm.snapshot()
            try:
                return self.raw_call(hexed(read.to), read.data)
            except Reverted:
                return None
            finally:
                self.evm.revert(checkpoint)
        if isinstance(read, Code):
            return bytes(self.evm.basic(hexed(read.address)).code or b"")
        return self.storage(hexed(read.address), int.from_bytes(read.key, "big")).to_bytes(32, "big")

    def logs_of(self, address: str) -> list[Log]:
        """The logs that a contract emitted in the last call."""
        return [
            Log(unhex(address), tuple(bytes(topic) for topic in log.data[0]), bytes(log.data[1]), 0, number)
            for number, log in enumerate(self.evm.result.logs)
            if log.address.lower() == address
        ]

    def storage(self, address: str, slot: int) -> int:
        return int(self.evm.storage(address, slot))

    def pass_time(self) -> None:
        """A block later."""
        self.time += 12
        self.evm.set_block_env(pyrevm.BlockEnv(timestamp=self.time, number=1))

    def view_of(self, address: str, slots: set[bytes]) -> tuple[AccountView, bytes]:
        """An account with these of its slots, and its code (as the EVM keeps it, with zeros behind)."""
        account = self.evm.basic(address)
        code = bytes(account.code or b"")
        held = {key: self.storage(address, int.from_bytes(key, "big")).to_bytes(32, "big") for key in slots}
        code_hash = keccak(code) if code else EMPTY_CODE_HASH
        return AccountView(account.nonce, account.balance, code_hash, held), code


class RealPool(ABC):
    """A real pool and the first state of ours. `logs` are those of the pool in the last call."""

    world: World
    emitter: str
    caller: str
    #: Slots: the packed price and tick, the liquidity, the ticks, the bitmap.
    slots: tuple[int, int, int, int]
    bare: ConcentratedPool

    def __init__(self) -> None:
        self._clean = self.world.evm.snapshot()

    def clean(self) -> RealPool:
        """This pool as it was deployed."""
        self.world.evm.revert(self._clean)
        self._clean = self.world.evm.snapshot()
        return self

    @property
    def logs(self) -> list[Log]:
        return self.world.logs_of(self.emitter)

    @abstractmethod
    def initialize(self, sqrt_price: int) -> None: ...

    @abstractmethod
    def position(self, lower: int, upper: int, amount: int) -> None: ...

    @abstractmethod
    def swap_data(self, zero_for_one: bool, amount: int, limit: int) -> bytes:
        """The call of `caller` that swaps; amount as V3 says it."""

    @abstractmethod
    def swap(self, zero_for_one: bool, amount: int, limit: int) -> tuple[int, int]:
        """Amounts as V3 says them: input above zero, in `amount` as well."""

    @abstractmethod
    def known_as(self) -> tuple[Found, FactoryConfig]:
        """How the pool was found, and its factory."""

    @abstractmethod
    def set_protocol_fee(self, part0: int, part1: int) -> None: ...

    def swap_on(self, engine: Engine, slots: tuple[AccountSlots, ...], *swap: Any) -> Verdict:
        """The swap as a transaction of an engine that knows, of the pool's contract, these slots alone."""
        return self.run_on(engine, slots, self.caller, self.swap_data(*swap))

    def run_on(
        self,
        engine: Engine,
        slots: tuple[AccountSlots, ...],
        to: str,
        data: bytes,
        *whole: str,
        report: Report = NO_REPORT,
    ) -> Verdict:
        """A call as a transaction of an engine that knows these slots, the coins' of pool and caller, and all of the accounts in `whole`."""
        known: dict[str, set[bytes]] = {OWNER: set(), self.caller: set(), hexed(COINBASE): set()}
        for token in (self.world.token0, self.world.token1):
            known[token] = {_mapped(int(holder, 16), 0).to_bytes(32, "big") for holder in (self.emitter, self.caller)}
        for entry in slots:
            known.setdefault(hexed(entry.address), set()).update(entry.keys)
        witness = Witness({}, {})
        for address, keys in (known | {account: set() for account in whole}).items():
            view, code = self.world.view_of(address, keys)
            witness.accounts[unhex(address)] = view._replace(complete=address in whole)
            if code:
                witness.add_code(code)
        nonce = witness.accounts[unhex(OWNER)].nonce
        call = Transaction(unhex(OWNER), unhex(to), nonce, 0, data, 30_000_000, 0, 0)
        return engine.execute_each(witness, ENV, [call], report=report)[0]

    def price_tick_liquidity(self) -> tuple[int, int, int]:
        price_slot, liquidity_slot, _, _ = self.slots
        packed = self.world.storage(self.emitter, price_slot)
        tick = packed >> 160 & 0xFFFFFF
        liquidity = self.world.storage(self.emitter, liquidity_slot) & (2**128 - 1)
        return packed & (2**160 - 1), tick - (tick >> 23 << 24), liquidity

    @abstractmethod
    def protocol_fee(self) -> int:
        """As packed in the pool's storage."""

    def tick(self, tick: int) -> tuple[int, int]:
        """(net, gross) of a tick."""
        packed = self.world.storage(self.emitter, _mapped(tick, self.slots[2]))
        net = packed >> 128
        return net - (net >> 127 << 128), packed & (2**128 - 1)

    def word(self, position: int) -> int:
        """A word of the bitmap."""
        return self.world.storage(self.emitter, _mapped(position, self.slots[3]))


class RealV3(RealPool):
    """UniswapV3Pool or PancakeV3Pool, with any fee and spacing."""

    def __init__(self, family: type[V3Pool], fee: int, spacing: int) -> None:
        code = _creation_code(*_V3_ARTIFACTS[family])
        self.world = World()
        self.deployer = self.world.create(_compiled()["Deployer"])
        self.caller = self.world.create(_compiled()["V3Caller"])
        (address,) = self.world.call(
            self.deployer,
            "deploy(bytes,address,address,uint24,int24)",
            code,
            self.world.token0,
            self.world.token1,
            fee,
            spacing,
            returns=("address",),
        )
        self.emitter = str(address).lower()
        self.world.accounts.append(self.emitter)
        self.world.enrich(self.caller)
        self.slots = (0, 4, 5, 6) if family is V3Pool else (0, 5, 6, 7)
        self.fee_type = "uint8" if family is V3Pool else "uint32"
        self.bare = family.from_parts(
            address=unhex(self.emitter),
            token0=unhex(self.world.token0),
            token1=unhex(self.world.token1),
            fee_pips=fee,
            tick_spacing=spacing,
        )
        super().__init__()

    def farm(self) -> str:
        """Put a farm behind a PancakeSwap pool; its address."""
        farm = self.world.create(_compiled()["Farm"])
        self.world.call(self.emitter, "setLmPool(address)", farm)
        return farm

    def initialize(self, sqrt_price: int) -> None:
        self.world.call(self.emitter, "initialize(uint160)", sqrt_price)

    def position(self, lower: int, upper: int, amount: int) -> None:
        name = "mint" if amount > 0 else "burn"
        self.world.call(
            self.caller, f"{name}(address,int24,int24,uint128)", self.emitter, lower, upper, abs(amount)
        )  # fmt: skip

    def swap_data(self, zero_for_one: bool, amount: int, limit: int) -> bytes:
        return calldata("swap(address,bool,int256,uint160)", self.emitter, zero_for_one, amount, limit)

    def swap(self, zero_for_one: bool, amount: int, limit: int) -> tuple[int, int]:
        answer = self.world.raw_call(self.caller, self.swap_data(zero_for_one, amount, limit))
        amount0, amount1 = decode(("int256", "int256"), answer)
        return amount0, amount1

    def known_as(self) -> tuple[Found, FactoryConfig]:
        factory = FactoryConfig(
            name="local",
            family=self.bare.FAMILY,  # type: ignore[arg-type]
            address=unhex(FACTORY),
            deployer=unhex(self.deployer),
            init_code_hash=keccak(_creation_code(*_V3_ARTIFACTS[type(self.bare)])),  # type: ignore[index]
        )
        return Found(self.bare.FAMILY, self.bare.address, factory.address), factory

    def set_protocol_fee(self, part0: int, part1: int) -> None:
        self.world.call(self.emitter, f"setFeeProtocol({self.fee_type},{self.fee_type})", part0, part1)

    def protocol_fee(self) -> int:
        if self.fee_type == "uint8":
            return self.world.storage(self.emitter, 0) >> 232 & 0xFF
        return self.world.storage(self.emitter, 1) & 0xFFFFFFFF


class RealV4(RealPool):
    """A pool of the real PoolManager."""

    def __init__(self, fee: int, spacing: int) -> None:
        code = _creation_code("@uniswap/v4-core", "out/PoolManager.sol/PoolManager.json")
        self.world = World()
        self.emitter = self.world.create(code, encode(["address"], [OWNER]))
        self.world.call(self.emitter, "setProtocolFeeController(address)", OWNER)
        self.caller = self.world.create(_compiled()["V4Caller"])
        self.world.enrich(self.caller, self.emitter)
        self.key = (self.world.token0, self.world.token1, fee, spacing, "0x" + "00" * 20)
        pool_id = keccak(encode(["(address,address,uint24,int24,address)"], [self.key]))
        state = int.from_bytes(keccak(pool_id + (6).to_bytes(32, "big")), "big")
        self.slots = (state, state + 3, state + 4, state + 5)
        self.bare = V4Pool.from_parts(
            manager=unhex(self.emitter),
            pool_id=pool_id,
            token0=unhex(self.world.token0),
            token1=unhex(self.world.token1),
            fee_pips=fee,
            tick_spacing=spacing,
        )
        super().__init__()

    def initialize(self, sqrt_price: int) -> None:
        self.world.call(
            self.emitter, "initialize((address,address,uint24,int24,address),uint160)", self.key, sqrt_price
        )  # fmt: skip

    def position(self, lower: int, upper: int, amount: int) -> None:
        self.world.call(
            self.caller,
            "modify(address,(address,address,uint24,int24,address),(int24,int24,int256,bytes32))",
            self.emitter,
            self.key,
            (lower, upper, amount, bytes(32)),
        )

    def swap_data(self, zero_for_one: bool, amount: int, limit: int) -> bytes:
        trade = zero_for_one, -amount, limit
        return calldata(
            "swap(address,(address,address,uint24,int24,address),(bool,int256,uint160))", self.emitter, self.key, trade
        )

    def swap(self, zero_for_one: bool, amount: int, limit: int) -> tuple[int, int]:
        answer = self.world.raw_call(self.caller, self.swap_data(zero_for_one, amount, limit))
        amount0, amount1 = decode(("int128", "int128"), answer)
        return -amount0, -amount1

    def known_as(self) -> tuple[Found, FactoryConfig]:
        assert isinstance(self.bare, V4Pool)
        manager = FactoryConfig(name="local", family="uniswap_v4", address=self.bare.manager)
        return Found(self.bare.FAMILY, self.bare.address, self.bare.manager, self.bare.seed()), manager

    def set_protocol_fee(self, part0: int, part1: int) -> None:
        self.world.call(
            self.emitter,
            "setProtocolFee((address,address,uint24,int24,address),uint24)",
            self.key,
            part0 | part1 << 12,
        )

    def protocol_fee(self) -> int:
        return self.world.storage(self.emitter, self.slots[0]) >> 184 & 0xFFFFFF


def deploy(family: type[ConcentratedPool], fee: int, spacing: int) -> RealPool:
    """A real pool in an EVM of its own."""
    return RealV4(fee, spacing) if family is V4Pool else RealV3(family, fee, spacing)  # type: ignore[arg-type]


@cache
def real_pool(family: type[ConcentratedPool], fee: int, spacing: int) -> RealPool:
    """One real pool of each kind for many tests; call `clean` on it."""
    return deploy(family, fee, spacing)


def calldata(signature: str, *arguments: Any) -> bytes:
    """A call of `name(types)`."""
    return keccak(signature.encode())[:4] + encode(_kinds(signature), arguments)


def hexed(data: bytes) -> str:
    """0x-hex of bytes."""
    return "0x" + data.hex()


def unhex(text: str) -> bytes:
    """Bytes of 0x-hex."""
    return bytes.fromhex(text.removeprefix("0x"))


def _mapped(key: int, slot: int) -> int:
    return int.from_bytes(keccak(encode(["int256", "uint256"], [key, slot])), "big")


def _kinds(signature: str) -> list[str]:
    """The types of a signature's arguments, tuples whole."""
    inside, depth, kinds = signature[signature.index("(") + 1 : -1], 0, [""]
    for letter in inside:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            kinds.append("")
        else:
            kinds[-1] += letter
    return kinds if inside else []


def _reason(text: str) -> str:
    found = re.search(r"output: 0x([0-9a-f]*)", text)
    output = bytes.fromhex(found[1]) if found else b""
    if output[:4] == keccak(b"Error(string)")[:4]:
        return str(decode(["string"], output[4:])[0])
    return "0x" + output.hex() if found else text
