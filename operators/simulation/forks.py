"""The fork rules that simulations know, by name. An unknown name is an error, never the latest rules."""

from __future__ import annotations

from typing import NamedTuple


class ForkRules(NamedTuple):
    """What differs between forks outside the interpreter.

    `blob_fraction` is the update fraction of the blob base fee (EIP-4844, EIP-7691), 0 before blobs. `precompiles` is the
    highest precompile address, from 1. `rules` is the fork whose opcodes and gas table apply.
    """

    rules: str
    tx_types: int
    base_fee: bool
    merged: bool
    warm_coinbase: bool
    initcode_metering: bool
    calldata_floor: bool
    blob_fraction: int
    precompiles: int


#: Names are those of the configuration. Prague is Cancun's interpreter with the calldata floor of EIP-7623 and the blob
#: parameters of EIP-7691. What else Prague brings is refused where it is met, not modelled: set-code transactions and
#: accounts with a delegation (EIP-7702), the BLS12-381 precompiles 0x0b to 0x11 (EIP-2537).
FORKS: dict[str, ForkRules] = {
    "Istanbul": ForkRules("Istanbul", 0, False, False, False, False, False, 0, 9),
    "Berlin": ForkRules("Berlin", 1, False, False, False, False, False, 0, 9),
    "London": ForkRules("London", 2, True, False, False, False, False, 0, 9),
    "Merge": ForkRules("Merge", 2, True, True, False, False, False, 0, 9),
    "Shanghai": ForkRules("Shanghai", 2, True, True, True, True, False, 0, 9),
    "Cancun": ForkRules("Cancun", 3, True, True, True, True, False, 3_338_477, 10),
    "Prague": ForkRules("Cancun", 3, True, True, True, True, True, 5_007_716, 10),
}

#: Precompiles that Prague adds and the interpreter behind does not have.
PRAGUE_PRECOMPILES = range(0x0B, 0x12)


def precompile_address(number: int) -> bytes:
    """The address of a precompiled contract."""
    return number.to_bytes(20, "big")
