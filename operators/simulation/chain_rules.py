"""Which rules hold in a block, by chain and time. A chain whose rules differ from every fork's is refused by name."""

from __future__ import annotations

from typing import NamedTuple


class UnknownRules(ValueError):
    """No rules are known for this chain or block; the message says what to do."""


class Rules(NamedTuple):
    """A fork (see `forks`), and the update fraction of the blob base fee (EIP-4844, EIP-7691, EIP-7892)."""

    fork: str
    blob_fraction: int


MAINNET, LINEA = 1, 59_144

#: Mainnet up to the merge, by number of the first block.
_MAINNET_BLOCKS = (
    (15_537_394, Rules("Merge", 0)),
    (12_965_000, Rules("London", 0)),
    (12_244_000, Rules("Berlin", 0)),
    (9_069_000, Rules("Istanbul", 0)),
)
#: Mainnet from then on, by unix time. The last two change blob parameters only (EIP-7892).
_MAINNET_TIMES = (
    (1_767_747_671, Rules("Osaka", 11_684_671)),
    (1_765_290_071, Rules("Osaka", 8_346_193)),
    (1_764_798_551, Rules("Osaka", 5_007_716)),
    (1_746_612_311, Rules("Prague", 5_007_716)),
    (1_710_338_135, Rules("Cancun", 3_338_477)),
    (1_681_338_455, Rules("Shanghai", 0)),
)
#: Linea began with London; its merge came with the total difficulty, later forks by unix time.
_LINEA_TIMES = (
    (1_761_646_200, Rules("Prague", 5_007_716)),
    (1_761_645_600, Rules("Cancun", 3_338_477)),
    (1_761_213_600, Rules("Shanghai", 0)),
)
#: Chains that charge for data on another chain, or carry transactions of their own kinds: no fork's rules give their fees.
_OTHER_RULES = {
    10: "OP Mainnet", 130: "Unichain", 252: "Fraxtal", 324: "ZKsync Era", 480: "World Chain", 1_868: "Soneium",
    8_453: "Base", 34_443: "Mode", 42_161: "Arbitrum One", 42_170: "Arbitrum Nova", 57_073: "Ink", 81_457: "Blast",
    534_352: "Scroll", 7_777_777: "Zora",
}  # fmt: skip


def rules_at(chain_id: int, number: int, timestamp: int, difficulty: int = 0) -> Rules:
    """The rules of a block. `difficulty` is the header's: 0 from the merge on. Raises `UnknownRules`."""
    if chain_id == MAINNET:
        for since, rules in _MAINNET_TIMES:
            if timestamp >= since:
                return rules
        for first, rules in _MAINNET_BLOCKS:
            if number >= first:
                return rules
        raise UnknownRules(f"mainnet block {number} is older than Istanbul, the oldest fork that is known")
    if chain_id == LINEA:
        for since, rules in _LINEA_TIMES:
            if timestamp >= since:
                return rules
        return Rules("London" if difficulty else "Merge", 0)
    if chain_id in _OTHER_RULES:
        raise UnknownRules(f"{_OTHER_RULES[chain_id]} (chain {chain_id}) has rules of its own, which are not modelled")
    raise UnknownRules(f"no fork schedule is known for chain {chain_id}: name the fork in the configuration")
