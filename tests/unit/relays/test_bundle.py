"""From a decision to the body of a request."""

from __future__ import annotations

import json
import uuid

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st

from infra.relays.bundle import CannotBuild, Unbuildable, build_bundle, cancel_body, replacement_uuid, send_body
from infra.relays.dialects import Dialect, dialect, dialects
from infra.relays.signing import bundle_hash, keccak
from schemas.decisions import Target
from schemas.opportunities import Strategy
from schemas.types import Wide
from tests.unit.relays.samples import IDENTITY_KEY, OWNER, decision, nothing_chosen, recovered, signer, user_raw

OWNER_SIGNER = signer()
FLASHBOTS = dialect("flashbots")


def params(body: bytes) -> dict[str, object]:
    call = json.loads(body)
    assert call["jsonrpc"] == "2.0" and len(call["params"]) == 1
    return dict(call["params"][0])


def test_backrun_is_target_then_ours() -> None:
    made = decision()
    assert made.chosen is not None
    bundle = build_bundle(made, OWNER_SIGNER)
    sent = params(send_body(bundle, FLASHBOTS))
    assert sent == {
        "txs": ["0x" + made.chosen.targets[0].raw.hex(), "0x" + bundle.ours.raw.hex()],
        "blockNumber": hex(made.target_block),
        "replacementUuid": replacement_uuid(made.id),
    }
    assert recovered(bundle.ours.raw) == OWNER
    assert bundle.hash == bundle_hash([made.chosen.target, bundle.ours.hash])


def test_cycle_is_ours_alone() -> None:
    bundle = build_bundle(decision(cycle=True), OWNER_SIGNER)
    assert params(send_body(bundle, FLASHBOTS))["txs"] == ["0x" + bundle.ours.raw.hex()]
    assert bundle.hash == bundle_hash([bundle.ours.hash])


def test_what_is_signed_is_what_was_chosen() -> None:
    made = decision()
    chosen = made.chosen
    assert chosen is not None
    told = TypedTransaction.from_bytes(HexBytes(build_bundle(made, OWNER_SIGNER).ours.raw)).as_dict()
    assert told["chainId"] == made.chain and told["nonce"] == chosen.nonce and told["value"] == 0
    assert (told["gas"], told["maxFeePerGas"], told["maxPriorityFeePerGas"]) == (
        chosen.gas_limit,
        chosen.max_fee,
        chosen.priority_fee,
    )
    assert bytes(told["to"]) == chosen.to and bytes(HexBytes(told["data"])) == chosen.data
    (entry,), (signed,) = chosen.access_list, told["accessList"]
    assert bytes(HexBytes(signed["address"])) == entry.address
    assert tuple(bytes(HexBytes(key)).rjust(32, b"\0") for key in signed["storageKeys"]) == entry.keys


@given(
    nonce=st.integers(0, 2**32),
    block=st.integers(1, 2**40),
    theirs=st.integers(0, 3),
    name=st.sampled_from(sorted(dialects())),
)
def test_ours_is_never_ahead(nonce: int, block: int, theirs: int, name: str) -> None:
    raws = [user_raw(nonce=nonce + later) for later in range(theirs)]
    bundle = build_bundle(decision(*raws, cycle=not raws, target_block=block, nonce=nonce), OWNER_SIGNER)
    sent = params(send_body(bundle, dialects()[name]))
    assert isinstance(sent["txs"], list)
    assert [recovered(tx) == OWNER for tx in sent["txs"]] == [*[False] * theirs, True]
    assert sent["txs"][:-1] == ["0x" + raw.hex() for raw in raws]
    # Fields that may be left out are left out: no null, no zero, nothing that was not asked for.
    assert set(sent) <= {"txs", "blockNumber", "replacementUuid", "uuid"}
    assert all(sent.values()) and sent["blockNumber"] == hex(block)


def test_an_order_that_puts_us_first_cannot_be_sent() -> None:
    class Reordered:
        def __init__(self) -> None:
            self.bundle = build_bundle(decision(), OWNER_SIGNER)

        def __getattr__(self, name: str) -> object:
            value = getattr(self.bundle, name)
            return value[::-1] if name == "transactions" else value

    with pytest.raises(AssertionError, match="must come last"):
        send_body(Reordered(), FLASHBOTS)  # type: ignore[arg-type]


def test_same_decision_same_bytes() -> None:
    made = decision()
    assert send_body(build_bundle(made, OWNER_SIGNER), FLASHBOTS) == send_body(build_bundle(made, signer()), FLASHBOTS)


def test_the_uuid_is_a_version_4_and_the_decisions_own() -> None:
    first, second = decision(seq=1), decision(seq=2)
    parsed = uuid.UUID(replacement_uuid(first.id))
    assert parsed.version == 4 and parsed.variant == uuid.RFC_4122
    assert replacement_uuid(first.id) != replacement_uuid(second.id)


def test_legacy_form_for_chains_without_base_fee() -> None:
    fields = {"base_fee": 0, "priority_fee": Wide(12 * 10**9)}
    bundle = build_bundle(decision(access_list=(), **fields), OWNER_SIGNER, legacy=True)
    assert bundle.ours.raw[0] >= 0xC0 and recovered(bundle.ours.raw) == OWNER
    # Signed without its list it would cost another gas than was decided on.
    with pytest.raises(CannotBuild, match="access_list"):
        build_bundle(decision(**fields), OWNER_SIGNER, legacy=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sender": b"\x0a" * 20}, Unbuildable.WRONG_SENDER),
        ({"target": b"\x01" * 32}, Unbuildable.TARGET_MISMATCH),
        ({"target": b""}, Unbuildable.TARGET_MISSING),
        ({"cycle": True, "target": b"\x01" * 32}, Unbuildable.TARGET_MISSING),
        ({"cycle": True, "strategy": Strategy.BACKRUN}, Unbuildable.TARGET_MISSING),
        ({"max_fee": Wide(10**10 - 1)}, Unbuildable.FEE_TOO_LOW),
        ({"priority_fee": Wide(13 * 10**9)}, Unbuildable.FEE_TOO_LOW),
    ],
)
def test_what_does_not_fit_is_not_signed(changes: dict[str, object], reason: Unbuildable) -> None:
    with pytest.raises(CannotBuild) as caught:
        build_bundle(decision(**changes), OWNER_SIGNER)  # type: ignore[arg-type]
    assert caught.value.reason is reason


def test_nothing_chosen_is_no_bundle() -> None:
    with pytest.raises(CannotBuild, match="nothing_chosen"):
        build_bundle(nothing_chosen(), OWNER_SIGNER)


def test_a_target_altered_by_one_bit_is_noticed() -> None:
    raw = user_raw()
    for position in (1, len(raw) // 2, len(raw) - 1):
        altered = bytearray(raw)
        altered[position] ^= 1
        with pytest.raises(CannotBuild, match="target_mismatch"):
            build_bundle(
                decision(targets=(Target(hash=keccak(raw), raw=bytes(altered)),), target=keccak(raw)), OWNER_SIGNER
            )


def test_a_bundle_above_the_relays_limit_is_refused() -> None:
    bundle = build_bundle(decision(user_raw(data=b"\x01" * 299_950, gas=30_000_000)), OWNER_SIGNER)
    with pytest.raises(CannotBuild, match="300000"):
        send_body(bundle, FLASHBOTS)


def test_wrong_key() -> None:
    with pytest.raises(CannotBuild, match="wrong_sender"):
        build_bundle(decision(), signer(IDENTITY_KEY))


def _dialect(**changes: object) -> Dialect:
    return Dialect.model_validate({**FLASHBOTS.model_dump(), **changes})


def test_cancelling_by_method_by_empty_bundle_and_not_at_all() -> None:
    made = decision()
    name = replacement_uuid(made.id)
    by_method = json.loads(cancel_body(made.id, 0, FLASHBOTS) or b"")
    assert by_method["method"] == "eth_cancelBundle" and by_method["params"] == [{"replacementUuid": name}]
    by_bundle = json.loads(cancel_body(made.id, 77, dialect("beaverbuild")) or b"")
    assert by_bundle["method"] == "eth_sendBundle" and by_bundle["params"] == [
        {"txs": [], "blockNumber": "0x4d", "uuid": name}
    ]
    assert cancel_body(made.id, 0, dialect("beaverbuild")) is None
    assert cancel_body(made.id, 77, dialect("loki")) is None
    assert cancel_body(made.id, 77, _dialect(replacement_field="")) is None


def test_dialects_are_data_and_none_is_claimed_verified() -> None:
    assert all(row.verified_at == "" for row in dialects().values())
    assert dialect("a-new-one") == FLASHBOTS and dialect("Titan").name == "titan"
    assert {row.replacement_field for row in dialects().values()} == {"replacementUuid", "uuid", ""}


def test_dialect_rows_are_checked() -> None:
    for wrong in ({"cancel": "sometimes"}, {"requests_per_second": 0}, {"surprise": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            _dialect(**wrong)


def test_eth_account_agrees_on_the_target_sender() -> None:
    raw = user_raw()
    assert recovered(raw) == bytes.fromhex(Account.from_key("0x" + "33" * 32).address[2:])
