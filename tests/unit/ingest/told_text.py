"""Answers of a tracer as a node might write them, as JSON text: mostly as they should be, and now and then in any way that they should not."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Text = SearchStrategy[str]

ADDRESSES = [bytes([n]) * 20 for n in (0x01, 0x0A, 0xAB, 0xF0)]
_LONG = ["5b" * 700, "60" * 300 + "5b" * 400, "5b" * 699 + "00", "ab" * 24_576]
#: A number in the middle: the ends of a range come often.
_rarely = st.integers(0, 79).map(lambda number: number == 37)
_SPACE = st.sampled_from(["", "", "", " ", "\n", "\t \r"])


def mostly(usual: Text, *odd: str) -> Text:
    """The usual, and one time in many something odd."""
    return _rarely.flatmap(lambda rare: st.sampled_from(odd) if rare else usual)


def _quoted(texts: Text) -> Text:
    return texts.map(lambda text: f'"{text}"')


def _cased(texts: Text) -> Text:
    return st.tuples(texts, st.sampled_from([str, str, str.upper])).map(lambda t: "0x" + t[1](t[0]))


def _digits(most: int) -> Text:
    return st.one_of(st.integers(0, 2**64), st.integers(0, 16**most - 1)).map(lambda number: f"{number:x}")


_ODD_HEX = ['""', '"0x"', '"0X1"', '"1"', '"0x_1"', '"0x 1"', '"0x-1"', '"0x0x1"', '"0xx1"', '"0xzz"', '"\\u0030x1"', '"0x1é"', '"0x\x01"', "7", "null", "true",
            "{}", "[]", '"0x1' + "0" * 64 + '"', '"0x' + "0" * 70 + '1"', '"0x8000000000000000"', '"0x1"x']  # fmt: skip
_addresses = mostly(
    st.one_of(_cased(st.sampled_from([a.hex() for a in ADDRESSES])), _cased(st.integers(0, 2**160 - 1).map("{:040x}".format))),
    *("0x12", "", "0x" + "zz" * 20, "0X" + "ab" * 20, "0x" + "ab" * 21, "0x" + "\\u0030" * 40, "0x0x" + "ab" * 19),
)  # fmt: skip
_words = st.one_of(
    _cased(st.integers(0, 40).map("{:064x}".format)), _cased(st.integers(0, 2**256 - 1).map("{:064x}".format)), _cased(_digits(64)),
    st.sampled_from(["0x", "0x0", "0x00"]),
)  # fmt: skip
_numbers = mostly(st.integers(0, 2**63 - 1).map(str), "-1", "-0", "1.0", "1.5", "1e3", "1E400", "01", "+1", "9223372036854775808", "9" * 30, "NaN", "true")  # fmt: skip
_quantities = mostly(_quoted(_cased(_digits(64))), *_ODD_HEX)
_nonces = st.one_of(_numbers, mostly(_quoted(_cased(_digits(15))), *_ODD_HEX), st.just("null"))
_codes = mostly(
    st.one_of(_quoted(_cased(st.one_of(st.sampled_from(_LONG), st.binary(max_size=40).map(bytes.hex)))), st.sampled_from(['"0x"', '""', "null"])),
    *('"0x1"', '"0x' + "5b" * 699 + '5"', '"0x' + "5b" * 699 + 'g0"', *_ODD_HEX),
)  # fmt: skip
_anything = st.sampled_from(['"0x12"', "7", "null", '"é"', '"\\u00e9"', '"\\ud800"', "[1,[2,{}]]", '{"a":{"b":null}}', "1.5", "true", '"\\x"', "-", "[" * 50 + "]" * 50])  # fmt: skip


def an_object(entries: SearchStrategy[Sequence[tuple[str, str]]]) -> Text:
    """JSON of (key, value) in which a key may come twice, with space somewhere and now and then a comma too many."""
    ends = _rarely.map(lambda rare: "," if rare else "")
    return st.tuples(entries, _SPACE, ends).map(
        lambda t: "{" + t[1] + f",{t[1]}".join(f'"{key}"{t[1]}:{value}' for key, value in t[0]) + t[2] + "}"
    )


def _fields(**values: Text) -> SearchStrategy[list[tuple[str, str]]]:
    """Some of the fields in any order, rarely one twice or one that nobody knows."""
    known = st.permutations(sorted(values)).flatmap(
        lambda names: st.integers(0, len(names)).flatmap(lambda count: st.tuples(*map(_entry(values), names[:count])))
    )
    strange = st.tuples(st.sampled_from(["codeHash", "extra", *values]), _anything)
    return st.tuples(known, _rarely, strange).map(lambda t: [*t[0], *([t[2]] if t[1] else [])])


def _entry(values: dict[str, Text]):  # type: ignore[no-untyped-def]
    return lambda name: values[name].map(lambda value: (name, value))


_storage = mostly(
    an_object(st.lists(st.tuples(mostly(_words, "", "0xzz", "0x" + "0" * 66, "\\u0030x1"), mostly(_quoted(_words), *_ODD_HEX)), max_size=4)),
    "null", "[]", "7",
)  # fmt: skip
_account = mostly(an_object(_fields(balance=_quantities, nonce=_nonces, code=_codes, storage=_storage)), "null", "[]")
_prestate = an_object(st.lists(st.tuples(_addresses, _account), max_size=4))
_error = st.sampled_from(['{"code":-32000,"message":"insufficient funds \\"}"}', '{"code":3,"message":"reverted","data":{"x":["]"]}}', '{"code":-32000,"message":"response too large"}',
                          '{"code":-32005,"message":"limit exceeded"}', "null", "{}", '{"code":"x"}', "7"])  # fmt: skip


def _answer(id_: str, result: Text) -> Text:
    usual = result.map(lambda told: [("jsonrpc", '"2.0"'), ("id", id_), ("result", told)])
    turned = result.map(lambda told: [("error", "null"), ("result", told), ("id", id_)])
    failed = _error.map(lambda error: [("jsonrpc", '"2.0"'), ("id", id_), ("error", error)])
    both = st.tuples(result, _error).map(lambda t: [("id", id_), ("result", t[0]), ("error", t[1])])
    odd_id = st.tuples(result, st.sampled_from(["null", '"0"', "1", "-1", "0.0", "99999999999999999999"])).map(
        lambda t: [("id", t[1]), ("result", t[0])]
    )
    strange = st.sampled_from([[("id", id_)], [("id", id_), ("result", "null")], [("id", id_), ("result", "[]")], []])
    pick = st.integers(0, 40)
    return an_object(
        pick.flatmap(lambda n: {7: both, 13: odd_id, 19: strange, 23: failed, 27: failed, 31: turned}.get(n, usual))
    )


def _spoilt(texts: Text) -> SearchStrategy[bytes]:
    """The text as bytes, rarely cut off or with a byte changed or added."""
    spoil = st.tuples(
        st.integers(0, 30),
        st.floats(0, 1),
        st.sampled_from([b'"', b"{", b"}", b"\\", b"0", b" ", b"\x00", b"\xff", b","]),
    )
    return st.tuples(texts, spoil).map(lambda t: _bent(t[0].encode(), *t[1]))


def _bent(body: bytes, how: int, where: float, byte: bytes) -> bytes:
    at = int(where * len(body))
    return {7: body[:at], 13: body[:at] + byte + body[at + 1 :], 19: body + byte}.get(how, body)


#: The body of the answer to a single `prestateTracer` request.
singles = _spoilt(_answer("0", _prestate))


def batches(count: int) -> SearchStrategy[bytes]:
    """The body of the answer to a batch of `count` such requests, in any order and rarely with one missing or doubled."""
    each = st.tuples(*(_answer(str(number), _prestate) for number in range(count)))
    order = st.one_of(
        st.permutations(range(count)),
        st.permutations(range(count)),
        st.lists(st.integers(0, count - 1), max_size=count + 1),
    )
    return _spoilt(st.tuples(each, order).map(lambda t: "[" + ",".join(t[0][at] for at in t[1]) + "]"))


def block_bodies(hashes: Sequence[bytes]) -> SearchStrategy[bytes]:
    """The body of the answer to `debug_traceBlockByHash` in `diffMode`, for transactions of these hashes."""
    before = mostly(an_object(_fields(balance=_quantities, nonce=_nonces, code=_codes, storage=_storage)), "null")
    pre = mostly(an_object(st.lists(st.tuples(_addresses, before), max_size=3)), "null", "[]")
    post = mostly(an_object(st.lists(st.tuples(_addresses, _account), max_size=3)), "null", "[]")
    diff = st.tuples(pre, post).map(lambda t: f'{{"pre":{t[0]},"post":{t[1]}}}')
    odd = st.sampled_from(["null", "{}", "[]", '{"pre":{}}', '{"post":{}}', '{"pre":{},"post":{},"post":{}}'])
    told = _rarely.flatmap(lambda rare: odd if rare else diff)
    entries = [st.tuples(_hash_field(tx_hash), told).map(lambda t: f'{{{t[0]}"result":{t[1]}}}') for tx_hash in hashes]
    strange = st.sampled_from([*(f'{{"error":{e}}}' for e in ('"gone"', "null", "7")), "[]", "7"])
    each = [st.tuples(_rarely, usual, strange).map(lambda t: t[2] if t[0] else t[1]) for usual in entries]
    listed = st.tuples(st.tuples(*each), _rarely).map(lambda t: "[" + ",".join(t[0][1:] if t[1] else t[0]) + "]")
    return _spoilt(_answer("0", listed))


def _hash_field(tx_hash: bytes) -> Text:
    named = f'"txHash":"0x{tx_hash.hex()}",'
    odd = ("", named.upper().replace("TXHASH", "txHash").replace("0X", "0x"), '"txHash":null,', '"txHash":"0x12",', f'"txHash":"0x{"ee" * 32}",', '"error":null,', '"error":"no",')  # fmt: skip
    return st.one_of(st.just(named), mostly(st.just(named), *odd))
