"""Candidates on recorded pools: routes of random length and size, run by the real bytecode of WETH9, the tokens and the pools.

A contract of ours (the runner) makes the calls it finds in its calldata; it starts with nothing but the ether it is sent, which it
wraps. Whatever the pools' contracts then do (pay out, revert with K, ask for state nobody recorded) is theirs.
"""

from __future__ import annotations

import json
import lzma
import random
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from tests.unit.simulation.replay_bundles import parse_bundle

RUNNER, SENDER = b"\x5e" * 20, b"\x5d" * 20
ETHER = 10**18
_DEPOSIT, _TRANSFER, _SWAP = (bytes.fromhex(selector) for selector in ("d0e30db0", "a9059cbb", "022c0d9f"))
#: Makes calls packed as address 20 | value 32 | length 4 | calldata, one after the other, and reverts with what the first failing
#: one left. (The instructions: i = 0; while i < calldatasize: copy the data to 0, call, and i += 56 + length.)
RUNNER_CODE = bytes.fromhex(
    "5f5b36811060095700"
    "5b"  # PUSH0 JUMPDEST CALLDATASIZE DUP2 LT PUSH1 9 JUMPI STOP JUMPDEST
    + "80603401"  # DUP1 PUSH1 52 ADD
    + "3560e01c"  # CALLDATALOAD PUSH1 224 SHR: the length
    + "80826038015f37"  # DUP1 DUP3 PUSH1 56 ADD PUSH0 CALLDATACOPY
    + "5f5f825f"  # no return data; DUP3 (the length), PUSH0
    + "8560140135"  # DUP6 PUSH1 20 ADD CALLDATALOAD: the value
    + "863560601c"  # DUP7 CALLDATALOAD PUSH1 96 SHR: the address
    + "5af1"  # GAS CALL
    + "6033573d5f5f3e3d5ffd"  # PUSH1 ok JUMPI RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY RETURNDATASIZE PUSH0 REVERT
    + "5b01603801600156"  # ok: JUMPDEST ADD PUSH1 56 ADD PUSH1 1 JUMP
)


class Pool(NamedTuple):
    """A constant-product pool with its reserves before the block."""

    address: bytes
    tokens: tuple[bytes, bytes]
    reserves: tuple[int, int]


class Market(NamedTuple):
    """A recorded block's state with the runner in it, and the block's pools."""

    witness: Witness
    env: BlockEnv
    pools: list[Pool]
    anchor: bytes


def read_market(path: Path, anchor: bytes, complete: bool = True) -> Market:
    """The market of a bundle of one block. Complete: slots that were not recorded read zero instead of being refused."""
    bundle = json.loads(lzma.decompress(path.read_bytes()))
    state, blocks = parse_bundle(bundle)
    accounts = {a: v._replace(complete=complete) for a, v in state.accounts.items()}
    witness = Witness(accounts, state.codes)
    accounts[RUNNER] = AccountView(1, 0, witness.add_code(RUNNER_CODE), {}, complete=True)
    accounts[SENDER] = AccountView(
        0, 10**9 * ETHER, accounts[blocks[0].transactions[0].tx.sender].code_hash, {}, complete=True
    )
    pools = [
        Pool(_bytes(address), (_bytes(truth["token0"]), _bytes(truth["token1"])),
             (int(truth["pre"]["reserve0"]), int(truth["pre"]["reserve1"])))
        for address, truth in bundle["pool_truth"].items()
        if truth["kind"] == "v2" and truth.get("pre")
    ]  # fmt: skip
    return Market(witness, blocks[0].env, pools, anchor)


def candidate(market: Market, seed: int) -> Transaction:
    """A route of one to three hops from the anchor; sizes over twelve orders of magnitude, one in six amounts out too high."""
    chance = random.Random(seed)
    amount = int(10 ** chance.uniform(9, 21))
    token, calls = market.anchor, [_call(market.anchor, amount, _DEPOSIT)]
    hops: list[tuple[Pool, int, int]] = []
    for _ in range(chance.randint(1, 3)):
        choices = [pool for pool in market.pools if token in pool.tokens and all(pool != hop[0] for hop in hops)]
        if not choices:
            break
        pool = chance.choice(choices)
        side = pool.tokens.index(token)
        amount_in = hops[-1][2] if hops else amount
        out = amount_in * 997 * pool.reserves[1 - side] // (pool.reserves[side] * 1000 + amount_in * 997)
        if chance.random() < 1 / 6:
            out += 1 + out // 1000
        hops.append((pool, side, out))
        token = pool.tokens[1 - side]
    calls.append(_call(market.anchor, 0, _TRANSFER + hops[0][0].address.rjust(32, b"\0") + _word(amount)))
    for (pool, side, out), after in zip(hops, [*hops[1:], None], strict=True):
        to = RUNNER if after is None else after[0].address
        amounts = (0, out) if side == 0 else (out, 0)
        calls.append(
            _call(
                pool.address,
                0,
                _SWAP + _word(amounts[0]) + _word(amounts[1]) + to.rjust(32, b"\0") + _word(128) + _word(0),
            )
        )
    base_fee = market.env.base_fee
    return Transaction(
        sender=SENDER, to=RUNNER, nonce=0, value=amount, data=b"".join(calls), gas_limit=chance.choice((90_000, 300_000, 900_000)),
        max_fee=2 * base_fee, priority_fee=chance.choice((0, base_fee)), tx_type=2,
    )  # fmt: skip


def creation(tx: Transaction) -> Transaction:
    """The same route, run from creation code that ignores how it ends."""
    # PUSH3 n DUP1 PUSH1 38 PUSH0 CODECOPY (the calls lie behind these 38 bytes), then CALL(RUNNER, CALLVALUE, 0, n), and STOP:
    # whatever became of the call, the creation succeeds.
    size = len(tx.data).to_bytes(3, "big")
    head = b"\x62" + size + bytes.fromhex("8060") + bytes.fromhex("265f395f5f825f3473")
    code = head + RUNNER + bytes.fromhex("5af100")
    return replace(tx, to=b"", data=code + tx.data, gas_limit=tx.gas_limit + 200_000)


def _call(to: bytes, value: int, data: bytes) -> bytes:
    return to + _word(value) + len(data).to_bytes(4, "big") + data


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value[2:])
