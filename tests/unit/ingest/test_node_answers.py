"""Answers that lie are refused with the reason; tracer diffs mean what geth means by them."""

from __future__ import annotations

import msgspec
import pytest

from infra.chain import needs, token_facts
from infra.chain.answers import HeaderAnswer, LogAnswer, Prestate, ReceiptAnswer, TracedAccount, TracedDiff
from infra.chain.blocks import Header, decode_header
from infra.chain.diffs import ToldDiffs, balance_steps
from infra.chain.errors import LieReason, NodeLied, RpcError
from infra.chain.keccak import EMPTY_CODE_HASH, keccak
from infra.chain.prestate import decode_prestate, state_of
from infra.chain.receipts import check_receipts
from operators.ingest import listings

A, B = b"\xaa" * 20, b"\xbb" * 20
HASH = b"\x05" * 32


def name(value: bytes) -> str:
    return "0x" + value.hex()


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def header(count: int, gas: int) -> Header:
    hashes = tuple(bytes([n + 1]) * 32 for n in range(count))
    return Header(9, HASH, b"\x04" * 32, 1, 1, 1, gas, A, bytes(32), 0, 0, hashes)


def receipt(index: int, logs: int, first_log: int, cumulative: int) -> ReceiptAnswer:
    tx = name(bytes([index + 1]) * 32)
    return ReceiptAnswer(
        transaction_hash=tx, transaction_index=hex(index), block_hash=name(HASH), gas_used="0x5208", cumulative_gas_used=hex(cumulative),
        from_=name(A), to=None, status="0x1", effective_gas_price="0x1",
        logs=[
            LogAnswer(address=name(B), topics=[name(word(1))], data="0x", block_hash=name(HASH), transaction_index=hex(index),
                      log_index=hex(first_log + i))
            for i in range(logs)
        ],
    )  # fmt: skip


def good() -> list[ReceiptAnswer]:
    return [receipt(0, 2, 0, 21_000), receipt(1, 0, 2, 42_000), receipt(2, 1, 2, 63_000)]


def test_honest_receipts_are_taken() -> None:
    mined = check_receipts(header(3, 63_000), good())
    assert [len(mined.logs(n)) for n in range(3)] == [2, 0, 1] and mined.logs(2)[0].log_index == 2


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda r: r[:2], LieReason.RECEIPT_COUNT),
        (lambda r: [r[1], r[0], r[2]], LieReason.RECEIPT_MISMATCH),
        (
            lambda r: [r[0], r[1], msgspec.structs.replace(r[2], block_hash=name(b"\x06" * 32))],
            LieReason.RECEIPT_MISMATCH,
        ),
        (lambda r: [r[0], r[1], msgspec.structs.replace(r[2], cumulative_gas_used="0x1")], LieReason.GAS_MISMATCH),
        (lambda r: [msgspec.structs.replace(r[0], logs=r[0].logs[:1]), *r[1:]], LieReason.LOG_MISMATCH),
        (lambda r: [msgspec.structs.replace(r[0], from_="0x12"), *r[1:]], LieReason.MALFORMED),
        (
            lambda r: [
                *r[:2],
                msgspec.structs.replace(
                    r[2], logs=[msgspec.structs.replace(r[2].logs[0], block_hash=name(b"\x06" * 32))]
                ),
            ],
            LieReason.LOG_MISMATCH,
        ),
    ],
)
def test_lying_receipts_are_refused(bend: object, reason: LieReason) -> None:
    with pytest.raises(NodeLied) as lie:
        check_receipts(header(3, 63_000), bend(good()))  # type: ignore[operator]
    assert lie.value.reason is reason


def with_log(bent: ReceiptAnswer, number: int, **fields: object) -> ReceiptAnswer:
    logs = list(bent.logs)
    logs[number] = msgspec.structs.replace(logs[number], **fields)
    return msgspec.structs.replace(bent, logs=logs)


def test_places_and_hashes_may_be_written_otherwise() -> None:
    first, second, third = good()
    shouted = with_log(first, 1, log_index="0x01", block_hash=name(HASH).upper().replace("0X", "0x"))
    shouted = msgspec.structs.replace(shouted, transaction_index="0x00")
    unhashed = with_log(third, 0, block_hash=None)
    assert check_receipts(header(3, 63_000), [shouted, second, unhashed]).logs(2)[0].log_index == 2


def test_what_says_nothing_of_its_place_is_the_first() -> None:
    first, *others = good()
    unplaced = with_log(first, 0, block_hash=None, transaction_index=None, log_index=None)
    (log,) = check_receipts(header(3, 63_000), [unplaced, *others]).logs(0)[:1]
    assert (log.tx_index, log.log_index) == (0, 0)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("field", ["transaction_hash", "transaction_index", "block_hash"])
def test_a_receipt_of_another_place_is_a_lie(at: int, field: str) -> None:
    receipts = good()
    wrong = {"transaction_index": "0x7"}.get(field, name(b"\x07" * 32))
    receipts[at] = msgspec.structs.replace(receipts[at], **{field: wrong})
    with pytest.raises(NodeLied) as lie:
        check_receipts(header(3, 63_000), receipts)
    assert lie.value.reason is LieReason.RECEIPT_MISMATCH


@pytest.mark.parametrize(("at", "number"), [(0, 0), (0, 1), (2, 0)])
@pytest.mark.parametrize("field", ["block_hash", "transaction_index", "log_index"])
def test_a_log_of_another_place_is_a_lie(at: int, number: int, field: str) -> None:
    receipts = good()
    wrong = {"block_hash": name(b"\x07" * 32)}.get(field, "0x7")
    receipts[at] = with_log(receipts[at], number, **{field: wrong})
    with pytest.raises(NodeLied) as lie:
        check_receipts(header(3, 63_000), receipts)
    assert lie.value.reason is LieReason.LOG_MISMATCH


def test_a_block_of_more_logs_than_any_has() -> None:
    count = 10_000
    logs = check_receipts(header(1, 21_000), [receipt(0, count, 0, 21_000)]).logs(0)
    assert [log.log_index for log in logs] == list(range(count))
    twice = with_log(receipt(0, count, 0, 21_000), count - 1, log_index=hex(count - 2))
    with pytest.raises(NodeLied):
        check_receipts(header(1, 21_000), [twice])


def test_the_logs_of_a_contract_in_the_blocks_order() -> None:
    receipts = [with_log(good()[0], 0, address=name(A), data="0x07"), *good()[1:]]
    mined = check_receipts(header(3, 63_000), receipts)
    assert [(log.tx_index, log.log_index) for log in mined.logs_of({B})] == [(0, 1), (2, 2)]
    (mine,) = mined.logs_of({A})
    assert (mine.address, mine.topics, mine.data) == (A, (word(1),), b"\x07") and mine == mined.logs(0)[0]


@pytest.mark.parametrize("fields", [{"topics": ["0x12"]}, {"topics": [name(word(1))] * 5}, {"data": "0xz"}])
def test_a_log_without_the_form_of_one_is_a_lie_to_those_who_want_it(fields: dict[str, object]) -> None:
    mined = check_receipts(header(3, 63_000), [with_log(good()[0], 0, address=name(A), **fields), *good()[1:]])
    assert len(mined.logs_of({B})) == 2
    with pytest.raises(NodeLied) as lie:
        mined.logs_of({A})
    assert lie.value.reason is LieReason.MALFORMED
    with pytest.raises(NodeLied):
        _ = mined.logs(0)


def test_a_log_of_no_address_is_a_lie_to_all() -> None:
    mined = check_receipts(header(3, 63_000), [with_log(good()[0], 0, address="0x12"), *good()[1:]])
    with pytest.raises(NodeLied):
        mined.logs_of({B})


@pytest.mark.parametrize("field", ["number", "hash", "parent_hash", "timestamp", "miner"])
def test_a_header_with_a_field_of_another_shape_is_refused(field: str) -> None:
    fine = HeaderAnswer(
        number="0x9",
        hash=name(HASH),
        parent_hash=name(HASH),
        timestamp="0x1",
        gas_limit="0x1",
        gas_used="0x0",
        miner=name(A),
    )
    assert decode_header(fine).tx_hashes is None
    with pytest.raises(NodeLied):
        decode_header(msgspec.structs.replace(fine, **{field: "0xzz"}))


def account(
    balance: int | None = None, nonce: int | None = None, code: str | None = None, **slots: int
) -> TracedAccount:
    storage = {name(word(int(k[1:]))): name(word(v)) for k, v in slots.items()}
    return TracedAccount(
        balance=None if balance is None else hex(balance), nonce=nonce, code=code, storage=storage or None
    )


def diff(pre: Prestate, post: Prestate) -> TracedDiff:
    return TracedDiff(pre=pre, post=post)


def test_cleared_and_filled_slots_of_a_diff() -> None:
    key = frozenset(map(word, (1, 2, 3)))
    first = diff({name(A): account(5, 1, s1=7)}, {name(A): account(s2=9, s4=1)})
    changes = ToldDiffs([first]).changes({A: key}).changes
    assert changes[A].slots == {word(1): word(0), word(2): word(9)} and changes[A].balance is None
    second = diff({name(A): account(5, 1, s2=9)}, {name(A): account(balance=6, s2=3)})
    changes = ToldDiffs([first, second]).changes({A: key}).changes
    assert changes[A].slots == {word(1): word(0), word(2): word(3)} and changes[A].balance == 6
    assert ToldDiffs([first]).changes({A: None}).changes[A].slots[word(4)] == word(1)
    assert not ToldDiffs([first]).changes({B: None}).changes


def test_an_account_without_a_post_side_is_to_be_asked_about() -> None:
    found = ToldDiffs([diff({name(A): account(5, 1, s1=7)}, {})]).changes({A: frozenset((word(1),))})
    assert found.doubtful == {A} and not found.changes


def test_balances_step_by_step_or_not_at_all() -> None:
    steps = [
        diff({name(A): account(100)}, {name(A): account(90, 1)}),
        diff({name(B): account(1)}, {name(B): account(2)}),
        diff({name(A): account(90, 1)}, {name(A): account(nonce=2)}),
    ]
    told = balance_steps(ToldDiffs(steps), A, 100, 90)
    assert told is not None and [(s.before, s.after) for s in told] == [(100, 90), (90, 90), (90, 90)]
    assert balance_steps(ToldDiffs(steps), A, 101, 90) is None
    assert balance_steps(ToldDiffs(steps), A, 100, 95) is None
    born = balance_steps(ToldDiffs([diff({}, {name(A): account(7)})]), A, 0, 7)
    assert born is not None and (born[0].before, born[0].after) == (0, 7)


def test_a_prestate_is_whole() -> None:
    prestate = {name(A): account(5, s1=0), name(B): account(code="0x6001")}
    state = state_of(decode_prestate(prestate))
    a, b = state.accounts
    assert (a.nonce, a.balance, a.code_hash, a.slots) == (0, word(5), EMPTY_CODE_HASH, word(1) + word(0))
    assert b.code_hash == keccak(b"\x60\x01") and state.codes[b.code_hash] == b"\x60\x01"


@pytest.mark.parametrize(
    ("selector", "signature"),
    [
        (listings.ALL_PAIRS_LENGTH, "allPairsLength()"),
        (listings.ALL_PAIRS, "allPairs(uint256)"),
        (listings.POOL_COUNT, "pool_count()"),
        (listings.POOL_LIST, "pool_list(uint256)"),
        (token_facts.SYMBOL, "symbol()"),
        (token_facts.DECIMALS, "decimals()"),
        (needs.BALANCE_OF, "balanceOf(address)"),
        (needs.TRANSFER, "transfer(address,uint256)"),
    ],
)
def test_selectors(selector: bytes, signature: str) -> None:
    assert keccak(signature.encode())[: len(selector)] == selector


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        (word(32) + word(4) + b"WETH".ljust(32, b"\0"), "WETH"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (None, ""),
        (b"", ""),
        (word(32) + word(2**200) + b"long".ljust(32, b"\0"), "long"),
        (b"\xff\xfe" + bytes(30), ""),
    ],
)
def test_symbols(answer: bytes | None, symbol: str) -> None:
    assert token_facts.decode_symbol(answer) == symbol


def test_errors_are_told_apart() -> None:
    assert RpcError("m", -32601, "the method m does not exist/is not available").unsupported
    assert RpcError("m", -32000, "unknown block").unknown_block
    assert RpcError("m", -32001, "Resource not found").unknown_block
    assert not RpcError("m", 3, "execution reverted").unsupported
