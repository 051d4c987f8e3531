import pytest

from operators.simulation.fees import blob_base_fee, calldata_floor, effective_gas_price, intrinsic_gas, next_base_fee
from operators.simulation.forks import FORKS
from operators.simulation.model import Transaction

A, B = b"\xaa" * 20, b"\xbb" * 20
GWEI = 10**9


def tx(**fields):
    return Transaction(
        **{
            "sender": A,
            "to": B,
            "nonce": 0,
            "value": 0,
            "data": b"",
            "gas_limit": 10**6,
            "max_fee": 0,
            "priority_fee": 0,
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("used", "expected"),
    [(0, 875_000_000), (9, 937_500_000), (18, 1_000_000_000), (27, 1_062_500_000), (36, 1_125_000_000)],
)
def test_next_base_fee_vectors(used, expected):
    assert next_base_fee(GWEI, used * 10**6, 36 * 10**6) == expected


def test_next_base_fee_rises_by_at_least_one():
    assert next_base_fee(7, 36 * 10**6, 36 * 10**6) == 8
    assert next_base_fee(7, 0, 36 * 10**6) == 7


def test_effective_price_is_capped_by_the_fee():
    assert effective_gas_price(tx(max_fee=30, priority_fee=2), 10) == 12
    assert effective_gas_price(tx(max_fee=11, priority_fee=2), 10) == 11
    assert effective_gas_price(tx(max_fee=30, priority_fee=30, tx_type=0), 10) == 30


def test_intrinsic_gas():
    cancun, merge = FORKS["Cancun"], FORKS["Merge"]
    assert intrinsic_gas(tx(), cancun) == 21_000
    assert intrinsic_gas(tx(data=b"\0\0\1"), cancun) == 21_000 + 2 * 4 + 16
    assert intrinsic_gas(tx(access_list=((B, (bytes(32), bytes(32))),)), cancun) == 21_000 + 2_400 + 2 * 1_900
    assert intrinsic_gas(tx(to=b"", data=b"\1" * 33), merge) == 53_000 + 33 * 16
    assert intrinsic_gas(tx(to=b"", data=b"\1" * 33), cancun) == 53_000 + 33 * 16 + 2 * 2


def test_calldata_floor_is_of_prague():
    assert calldata_floor(tx(data=b"\0\1"), FORKS["Cancun"]) == 0
    assert calldata_floor(tx(data=b"\0\1"), FORKS["Prague"]) == 21_000 + 10 * (1 + 4)


def test_blob_base_fee():
    # Vectors of EIP-4844's reference: one wei at no excess, and e**k after k fractions.
    assert blob_base_fee(0, 3_338_477) == 1
    assert blob_base_fee(2_314_057, 3_338_477) == 1
    assert blob_base_fee(2_314_058, 3_338_477) == 2
    assert blob_base_fee(10 * 1024 * 1024, 3_338_477) == 23
