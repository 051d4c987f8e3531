"""The deployed Vault with one deployed pool in an EVM: any balances, tokens of any decimals, and a factory that says it made the pool."""

from __future__ import annotations

from infra.chain.keccak import keccak
from operators.pools.balancer_v2 import VAULT, VaultPool
from schemas.config import FactoryConfig
from tests.unit.pools.recorded_contracts import World, code, shown

VAULT_BLOCK = "eth_19917570"
FACTORY = b"\xfa" * 20
#: Answers one to everything.
_YES = bytes.fromhex("600160005260206000f3")
_GENERAL, _REGISTERED, _TWO_TOKENS, _MANAGERS = 1, 5, 9, 10
_CASH_BITS = 112


def factory(variant: str) -> FactoryConfig:
    return FactoryConfig(name="stand-in", family="balancer_v2_weighted", address=FACTORY, variant=variant)


def put_vault(world: World, pool: VaultPool) -> None:
    """The Vault's storage of a pool with these balances, and everything it asks around it."""
    world.put(shown(VAULT), code(VAULT_BLOCK, shown(VAULT)), _slots(pool))
    world.put(shown(FACTORY), _YES, {})
    for token, scale in zip(pool.tokens, pool.scaling, strict=True):
        if token != pool.address:
            # It answers its one number to `decimals` too.
            world.token(shown(token), 19 - len(str(scale)))


def _slots(pool: VaultPool) -> dict[int, int]:
    slots = {_hash(pool.pool_id, _REGISTERED): 1, 0: 1}
    cash = [balance - out for balance, out in zip(pool.balances, pool.managed, strict=True)]
    if pool.pool_id[20:22] == b"\0\2":
        start = _hash(pool.pool_id, _TWO_TOKENS)
        pair = keccak(pool.tokens[0] + pool.tokens[1])
        shared = _hash(pair, start + 2)
        slots |= {start + k: int.from_bytes(token, "big") for k, token in enumerate(pool.tokens)}
        slots |= {shared: cash[0] | cash[1] << _CASH_BITS, shared + 1: pool.managed[0] | pool.managed[1] << _CASH_BITS}
        return slots
    start = _hash(pool.pool_id, _GENERAL)
    slots[start] = len(pool.tokens)
    for k, token in enumerate(pool.tokens):
        entry = _hash(k, start + 1)
        packed = cash[k] | pool.managed[k] << _CASH_BITS
        slots |= {entry: int.from_bytes(token, "big"), entry + 1: packed, _hash(token, start + 2): k + 1}
    return slots


def _hash(key: int | bytes, slot: int) -> int:
    """Where a mapping keeps the value of a key."""
    word = key.to_bytes(32, "big") if isinstance(key, int) else key.rjust(32, b"\0")
    return int.from_bytes(keccak(word + slot.to_bytes(32, "big")), "big")
