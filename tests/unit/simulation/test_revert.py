from eth_abi.abi import encode

from operators.simulation.hashes import keccak
from operators.simulation.revert import ErrorTable

TABLE = ErrorTable(["NotOwner()", "ProfitTooLow(uint256,uint256)"])


def selector(signature):
    return keccak(signature.encode())[:4]


def test_error_string():
    assert TABLE.decode(selector("Error(string)") + encode(["string"], ["UniswapV2: K"])) == ("Error", "UniswapV2: K")


def test_panic():
    assert TABLE.decode(selector("Panic(uint256)") + encode(["uint256"], [0x11])) == (
        "Panic",
        "0x11 arithmetic overflow or underflow",
    )


def test_custom_errors():
    assert TABLE.decode(selector("NotOwner()")) == ("NotOwner", "NotOwner()")
    data = selector("ProfitTooLow(uint256,uint256)") + encode(["uint256", "uint256"], [5, 7])
    assert TABLE.decode(data) == ("ProfitTooLow", "ProfitTooLow(5, 7)")


def test_what_does_not_decode_is_shown_as_it_is():
    assert TABLE.decode(b"") == ("no_reason", "")
    assert TABLE.decode(b"\xde\xad\xbe\xef") == ("unknown_error", "0xdeadbeef")
    assert TABLE.decode(b"\x01") == ("unknown_error", "0x01")
    assert TABLE.decode(selector("Error(string)") + b"\xff" * 32) == ("Error", "0x08c379a0" + "ff" * 32)
    assert len(TABLE.decode(b"\x01" * 10_000).detail) == 1_000
