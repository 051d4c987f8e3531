"""Topic `tokens`: what each token does when it is moved, found by moving it in an EVM on the chain's own state."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Part, Record
from schemas.types import Address, Hash, Name, OptionalAddress, Signed, Text, Uint, Wide


class Quality(StrEnum):
    """What a token was found to be. The first line may be traded, `unknown` was not found out, the rest is refused with its pools."""

    #: Moves what it is told to move, and says so.
    PLAIN = "plain"
    #: As plain, but `transfer` answers nothing (USDT).
    MISSING_RETURN = "missing_return"
    #: As plain, but large amounts do not move.
    LIMITED = "limited"

    #: It could not be tried: `detail` says what was missing.
    UNKNOWN = "unknown"

    #: There is no code, or it does not answer as a token.
    NOT_A_TOKEN = "not_a_token"
    #: Nobody is paid by the holder: paused, or the holder is barred.
    UNTRANSFERABLE = "untransferable"
    #: Our executor is not paid, another contract is.
    BLOCKS_US = "blocks_us"
    #: No contract is paid, a plain account is.
    BLOCKS_CONTRACTS = "blocks_contracts"
    #: What our executor was paid it cannot pay back in the same transaction.
    NO_WAY_BACK = "no_way_back"
    #: `transfer` answers false, or something that is no answer.
    RETURNS_FALSE = "returns_false"
    #: More leaves the payer, or less reaches the payee, than was sent.
    TRANSFER_TAX = "transfer_tax"
    #: As above by one or two base units: balances are shares of something, rounded.
    INEXACT = "inexact"
    #: Balances move with time, without a transfer.
    REBASING = "rebasing"
    #: A transfer runs the code of its payee.
    CALLS_BACK = "calls_back"


#: Qualities that a pool may be traded with.
TRADABLE = frozenset((Quality.PLAIN, Quality.MISSING_RETURN, Quality.LIMITED, Quality.UNKNOWN))


class Trial(Part, frozen=True):
    """One transfer that was executed. `name` says from whom to whom (`out`, `back`, …: see `operators.tokens.script`).

    `amount` is what `transfer` was told to move, `debited` and `credited` what left the payer and reached the payee, in base units.
    `answer` is the beginning of what `transfer` returned, or reverted with.
    """

    name: Name
    amount: Wide
    success: bool
    answer: bytes
    debited: Signed
    credited: Signed


class TokenRecord(Record, frozen=True):
    """A token's quality at the end of a block, with the evidence.

    `tax_out_bps` and `tax_in_bps` are what a transfer out of and into the holder (a pool) loses, in 1/10000, rounded up; 0 where not
    measured. `behaviours` lists everything that was seen, also what did not decide. `holder` paid the transfers (empty where none was made).
    Not sequenced: what it means for decisions is in the `pools` records, written in the same transaction.
    """

    TOPIC = "tokens"

    chain: Uint
    token: Address
    block_number: Uint
    block_hash: Hash
    quality: Quality
    detail: Text
    tax_out_bps: Uint
    tax_in_bps: Uint
    behaviours: tuple[Name, ...]
    holder: OptionalAddress
    trials: tuple[Trial, ...]
    engine: Name


GOLDEN = TokenRecord(
    chain=1, token=b"\x9e" * 20, block_number=19_932_148, block_hash=b"\x05" * 32, quality=Quality.TRANSFER_TAX,
    detail="a transfer out of the holder loses 3.00 %", tax_out_bps=300, tax_in_bps=300,
    behaviours=("transfer_tax",), holder=b"\x06" * 20,
    trials=(
        Trial(name="out", amount=Wide(10**18), success=True, answer=(1).to_bytes(32, "big"), debited=Signed(10**18),
              credited=Signed(97 * 10**16)),
        Trial(name="out_large", amount=Wide(10**21), success=False, answer=bytes.fromhex("08c379a0"), debited=Signed(0),
              credited=Signed(0)),
    ),
    engine="revm 36",
)  # fmt: skip
