"""What a block says about us: balance changes by log, our transactions, the packed moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.settlement.facts import DEPOSIT, TRANSFER, WITHDRAWAL, block_facts, pack_moves, token_deltas
from schemas.event import assemble
from schemas.logs import Log
from schemas.pools import GOLDEN as POOL
from tests.unit.settlement.world import (
    ACCOUNTS,
    ANCHOR,
    EXECUTOR,
    FEE,
    OWNER,
    POOL_A,
    POOL_B,
    Tx,
    block,
    block_event,
    decision,
    ours,
    transfer,
    tx_of,
)

STRANGER = b"\x55" * 20


def word(address: bytes) -> bytes:
    return bytes(12) + address


def delta(log: Log) -> int:
    return dict(token_deltas([log], [ANCHOR], ACCOUNTS)).get(ANCHOR, 0)


def test_topics_are_the_keccak_of_their_signatures() -> None:
    from eth_hash.auto import keccak

    assert keccak(b"Transfer(address,address,uint256)") == TRANSFER
    assert keccak(b"Deposit(address,uint256)") == DEPOSIT
    assert keccak(b"Withdrawal(address,uint256)") == WITHDRAWAL


def test_a_transfer_counts_by_who_gives_and_who_takes() -> None:
    assert delta(transfer(STRANGER, OWNER, 7)) == 7
    assert delta(transfer(EXECUTOR, STRANGER, 7)) == -7
    assert delta(transfer(EXECUTOR, OWNER, 7)) == 0
    assert delta(transfer(OWNER, OWNER, 7)) == 0
    assert delta(transfer(STRANGER, POOL_A, 7)) == 0


def test_wrapping_and_unwrapping_change_the_anchor_balance_without_a_transfer() -> None:
    amount = (5).to_bytes(32, "big")
    assert delta(Log(ANCHOR, (DEPOSIT, word(EXECUTOR)), amount, 0, 0)) == 5
    assert delta(Log(ANCHOR, (WITHDRAWAL, word(EXECUTOR)), amount, 0, 0)) == -5
    assert delta(Log(ANCHOR, (DEPOSIT, word(STRANGER)), amount, 0, 0)) == 0


def test_other_tokens_and_other_shapes_change_nothing() -> None:
    amount = (5).to_bytes(32, "big")
    assert delta(Log(b"\x99" * 20, (TRANSFER, word(STRANGER), word(OWNER)), amount, 0, 0)) == 0
    assert delta(Log(ANCHOR, (), amount, 0, 0)) == 0
    assert delta(Log(ANCHOR, (TRANSFER, word(OWNER)), amount, 0, 0)) == 0
    assert delta(Log(ANCHOR, (TRANSFER, word(STRANGER), word(OWNER), word(OWNER)), amount, 0, 0)) == 0
    assert delta(Log(ANCHOR, (b"\x01" * 32, word(STRANGER), word(OWNER)), amount, 0, 0)) == 0


def test_each_anchor_token_has_a_change_of_its_own() -> None:
    other = b"\x99" * 20
    amount = (5).to_bytes(32, "big")
    logs = [
        transfer(STRANGER, OWNER, 7),
        Log(other, (TRANSFER, word(STRANGER), word(OWNER)), amount, 0, 1),
        transfer(OWNER, STRANGER, 7),
    ]
    assert token_deltas(logs, [ANCHOR, other], ACCOUNTS) == ((other, 5),)
    assert token_deltas(logs, [ANCHOR], ACCOUNTS) == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([OWNER, EXECUTOR, STRANGER]),
            st.sampled_from([OWNER, EXECUTOR, STRANGER]),
            st.integers(0, 2**255),
        )
    )
)
def test_the_sum_of_deltas_is_the_change_of_a_ledger(moves: list[tuple[bytes, bytes, int]]) -> None:
    ledger = dict.fromkeys((OWNER, EXECUTOR, STRANGER), 0)
    for giver, taker, amount in moves:
        ledger[giver] -= amount
        ledger[taker] += amount
    assert sum(delta(transfer(*move)) for move in moves) == ledger[OWNER] + ledger[EXECUTOR]


def test_our_transactions_are_those_that_owner_or_executor_sent() -> None:
    mine, theirs = decision(1, 101), Tx(b"\x33" * 32)
    facts = block(101, [theirs, ours(mine)])
    assert [o.tx_hash for o in facts.own] == [tx_of(mine)]
    assert (facts.own[0].tx_index, facts.own[0].deltas, facts.own[0].native_delta) == (
        1,
        ((ANCHOR, 10**16),),
        -FEE,
    )


def test_a_strangers_call_of_the_executor_is_not_ours() -> None:
    event = block_event(101, [ours(decision(1, 101))])
    assert not block_facts(event, [ANCHOR], frozenset((EXECUTOR,))).own  # type: ignore[union-attr]


def test_an_untraced_transaction_has_no_native_delta() -> None:
    assert block(101, [ours(decision(1, 101), traced=False)]).own[0].native_delta is None


def test_moves_are_kept_once_each_in_order() -> None:
    facts = block(101, [Tx(b"\x31" * 32, pools=(POOL_B, POOL_A, POOL_B)), Tx(b"\x32" * 32, pools=(POOL_A,))])
    assert list(facts.moves()) == [(0, POOL_B), (0, POOL_A), (1, POOL_A)]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=20, max_size=20)), unique=True))
def test_packed_moves_read_back(moves: list[tuple[int, bytes]]) -> None:
    assert list(block(101)._replace(moved=pack_moves(moves)).moves()) == moves


def test_a_block_knows_the_place_of_its_transactions() -> None:
    facts = block(101, [Tx(b"\x31" * 32), Tx(b"\x32" * 32)])
    assert facts.index_of(b"\x32" * 32) == 1
    assert not facts.holds(b"\x33" * 32)


def test_other_events_have_no_block_facts() -> None:
    assert block_facts(assemble((POOL,)), ANCHOR, ACCOUNTS) is None
