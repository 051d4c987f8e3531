from operators.simulation.opcodes import BASEFEE, PREVRANDAO, scan, with_base_fee_as


def test_push_data_is_no_instruction():
    assert scan(bytes.fromhex("604800")).opcodes == {0x60, 0x00}


def test_behind_a_terminal_instruction_only_a_jumpdest_runs():
    assert BASEFEE not in scan(bytes.fromhex("f348")).opcodes
    assert scan(bytes.fromhex("f3485b4800")).base_fee_at == (3,)


def test_only_reachable_base_fees_are_replaced():
    assert with_base_fee_as(bytes.fromhex("486048f348"), PREVRANDAO).hex() == "446048f348"
