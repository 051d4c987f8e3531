"""Powers by natural logarithm and exponential in fixed point: the values of Balancer V2's `LogExpMath`, digit for digit.

The method: an argument is split by powers of e with exponents 128, 64, …, 1/16 and a rest, whose logarithm or exponential is a short
series. Signed divisions round towards zero, as the EVM's SDIV does. Checked against `decimal` in the tests (relative error
below 1e-15 for `pow_`) and against the recorded answers of the contracts.
"""

from __future__ import annotations

from operators.pools.words import Reverts

_ONE_18, _ONE_20, _ONE_36 = 10**18, 10**20, 10**36
_MAX_NATURAL_EXPONENT = 130 * _ONE_18
_MIN_NATURAL_EXPONENT = -41 * _ONE_18
_MILD_EXPONENT_BOUND = 2**254 // _ONE_20

# Close to one a logarithm with 36 decimals is used: (0.9, 1.1), both ends excluded.
_NEAR_ONE_LOW, _NEAR_ONE_HIGH = _ONE_18 - 10**17, _ONE_18 + 10**17

#: (exponent with 18 decimals, e**exponent as a plain integer). They carry fewer digits than they have places: the rest are zeros.
_LARGE_POWERS = (
    (128 * _ONE_18, 38877084059945950922200000000000000000000000000000000000),
    (64 * _ONE_18, 6235149080811616882910000000),
)

#: (exponent, e**exponent), both with 20 decimals.
_POWERS = (
    (32 * _ONE_20, 7896296018268069516100000000000000),
    (16 * _ONE_20, 888611052050787263676000000),
    (8 * _ONE_20, 298095798704172827474000),
    (4 * _ONE_20, 5459815003314423907810),
    (2 * _ONE_20, 738905609893065022723),
    (_ONE_20, 271828182845904523536),
    (_ONE_20 // 2, 164872127070012814685),
    (_ONE_20 // 4, 128402541668774148407),
    (_ONE_20 // 8, 113314845306682631683),
    (_ONE_20 // 16, 106449445891785942956),
)
# The series of the exponential is precise enough below a quarter; the logarithm's needs the two smallest powers as well.
_EXP_POWERS = _POWERS[:8]
_EXP_TERMS = 12
_LN_TERMS = 11
_LN_36_TERMS = 15


def pow_(x: int, y: int) -> int:
    """`x ** y` of unsigned fixed-point numbers with 18 decimals. Raises `Reverts` outside of what the contract can do."""
    if y == 0:
        return _ONE_18
    if x == 0:
        return 0
    if x >> 255:
        raise Reverts("the base of a power leaves 255 bits")
    if y >= _MILD_EXPONENT_BOUND:
        raise Reverts("the exponent of a power is too large")
    if _NEAR_ONE_LOW < x < _NEAR_ONE_HIGH:
        fine = _ln_36(x)
        whole = _sdiv(fine, _ONE_18)
        scaled = whole * y + _sdiv((fine - whole * _ONE_18) * y, _ONE_18)
    else:
        scaled = _ln(x) * y
    exponent = _sdiv(scaled, _ONE_18)
    if not _MIN_NATURAL_EXPONENT <= exponent <= _MAX_NATURAL_EXPONENT:
        raise Reverts("a power leaves what can be represented")
    return exp(exponent)


def exp(x: int) -> int:
    """e**x of a signed number with 18 decimals. Raises `Reverts` outside of [-41, 130]."""
    if not _MIN_NATURAL_EXPONENT <= x <= _MAX_NATURAL_EXPONENT:
        raise Reverts("an exponent leaves [-41, 130]")
    if x < 0:
        return _ONE_36 // exp(-x)
    large = 1
    for exponent, power in _LARGE_POWERS:
        if x >= exponent:
            x, large = x - exponent, power
            break
    x *= 100
    product = _ONE_20
    for exponent, power in _EXP_POWERS:
        if x >= exponent:
            x -= exponent
            product = product * power // _ONE_20
    term, total = x, _ONE_20 + x
    for n in range(2, _EXP_TERMS + 1):
        term = term * x // _ONE_20 // n
        total += term
    return product * total // _ONE_20 * large // 100


def log(argument: int, base: int) -> int:
    """The logarithm to a base, signed, 18 decimals. Raises `Reverts` where the contract does."""
    base_36, argument_36 = _ln_to_36(base), _ln_to_36(argument)
    if base_36 == 0:
        raise Reverts("logarithm to the base one")
    return _sdiv(argument_36 * _ONE_18, base_36)


def ln(a: int) -> int:
    """The natural logarithm, signed, 18 decimals. Raises `Reverts` unless `a` is above zero."""
    if a <= 0:
        raise Reverts("logarithm of nothing")
    return _sdiv(_ln_36(a), _ONE_18) if _NEAR_ONE_LOW < a < _NEAR_ONE_HIGH else _ln(a)


def _ln_to_36(a: int) -> int:
    return _ln_36(a) if _NEAR_ONE_LOW < a < _NEAR_ONE_HIGH else _ln(a) * _ONE_18


def _ln(a: int) -> int:
    if a < _ONE_18:
        return -_ln(_ONE_36 // a)
    total = 0
    for exponent, power in _LARGE_POWERS:
        if a >= power * _ONE_18:
            a //= power
            total += exponent
    total, a = total * 100, a * 100
    for exponent, power in _POWERS:
        if a >= power:
            a = a * _ONE_20 // power
            total += exponent
    return (total + _twice_artanh((a - _ONE_20) * _ONE_20 // (a + _ONE_20), _ONE_20, _LN_TERMS)) // 100


def _ln_36(x: int) -> int:
    x *= _ONE_18
    return _twice_artanh(_sdiv((x - _ONE_36) * _ONE_36, x + _ONE_36), _ONE_36, _LN_36_TERMS)


def _twice_artanh(z: int, one: int, last: int) -> int:
    """ln(a) = 2 * artanh((a - 1) / (a + 1)): the series z + z^3/3 + z^5/5 + … up to the term `last`."""
    square = z * z // one
    term = total = z
    for n in range(3, last + 1, 2):
        term = _sdiv(term * square, one)
        total += _sdiv(term, n)
    return 2 * total


def _sdiv(a: int, b: int) -> int:
    """Division that rounds towards zero."""
    return a // b if (a < 0) == (b < 0) else -(-a // b)
