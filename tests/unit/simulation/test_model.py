import pickle

import pytest

from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import ABSENT, AccountView, Witness, unpack_slots
from schemas.witness import AccountState

A, B = b"\xaa" * 20, b"\xbb" * 20


def word(value):
    return value.to_bytes(32, "big")


def state(address=A, nonce=1, balance=5, code_hash=EMPTY_CODE_HASH, slots=b""):
    return AccountState(address, nonce, None if balance is None else word(balance), code_hash, slots)


def test_records_are_absolute_and_partial():
    witness = Witness({}, {})
    witness.apply(state(slots=word(1) + word(10) + word(2) + word(20)))
    witness.apply(state(nonce=None, balance=7, code_hash=None, slots=word(2) + word(21)))
    assert witness.accounts[A] == AccountView(1, 7, EMPTY_CODE_HASH, {word(1): word(10), word(2): word(21)})


def test_an_account_is_known_once_everything_was_said():
    witness = Witness({}, {})
    witness.apply(state(nonce=None, slots=word(1) + word(10)))
    assert A not in witness.accounts
    witness.apply(state(nonce=3, balance=None, code_hash=None))
    assert witness.accounts[A] == AccountView(3, 5, EMPTY_CODE_HASH, {word(1): word(10)})


def test_records_round_trip():
    witness = Witness({}, {})
    states = (state(), state(B, slots=word(1) + word(10) + word(2) + word(20)))
    for each in reversed(states):
        witness.apply(each)
    assert witness.to_states() == states


def test_a_layer_changes_neither_witness():
    below = Witness({A: AccountView(1, 5, EMPTY_CODE_HASH, {word(1): word(1), word(2): word(2)}), B: ABSENT}, {})
    over = Witness({A: AccountView(2, 4, EMPTY_CODE_HASH, {word(2): word(9)})}, {})
    before = pickle.dumps((below, over))
    both = below.layered(over)
    assert both.accounts[A] == AccountView(2, 4, EMPTY_CODE_HASH, {word(1): word(1), word(2): word(9)})
    assert both.accounts[B] is ABSENT
    both.apply(state(slots=word(1) + word(77)))
    both.mark_absent([b"\xcc" * 20])
    assert pickle.dumps((below, over)) == before


def test_a_complete_layer_hides_what_is_below():
    below = Witness({A: AccountView(1, 5, EMPTY_CODE_HASH, {word(1): word(1)})}, {})
    assert below.layered(Witness({A: ABSENT}, {})).accounts[A].slots == {}


def test_bad_slots_are_an_error():
    with pytest.raises(ValueError, match="65 bytes"):
        unpack_slots(bytes(65))
