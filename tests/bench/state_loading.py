"""From a witness to an EVM that can run: what each engine must do before the first instruction."""

from __future__ import annotations

from operators.simulation.packed import pack
from operators.simulation.pyrevm_state import CodeStore
from tests.bench.plain_pyrevm import loaded_evm, naive_evm
from tests.bench.swap_case import SwapCase
from tests.bench.timing import Work

PACKED, PACKED_CODES, VIEWS = "revm, packed bytes", "revm, packed bytes with the codes", "revm, dictionaries of bytes"
PYREVM, PYREVM_CODES, NAIVE = "pyrevm, loaded right, codes kept", "pyrevm, loaded right, codes new", "pyrevm, naive"


def loading(case: SwapCase, extension: bool) -> dict[str, Work]:
    """What loads the case's witness once, by name."""
    store = CodeStore()
    return (_revm(case) if extension else {}) | {
        PYREVM: lambda: loaded_evm(case.witness, case.env, case.tx, store),
        PYREVM_CODES: lambda: loaded_evm(case.witness, case.env, case.tx, CodeStore()),
        NAIVE: lambda: naive_evm(case.witness, case.env),
    }


def _revm(case: SwapCase) -> dict[str, Work]:
    import sluice_evm

    codes = sluice_evm.CodeStore()
    for code_hash, code in case.witness.codes.items():
        codes.add_checked(code_hash, code)
    views = case.witness.accounts
    bare, full = sluice_evm.Witness.of_views(views, codes).pack(codes=False), pack(case.witness)
    parse = sluice_evm.Witness.parse
    return {
        PACKED: lambda: parse(bare, codes),
        PACKED_CODES: lambda: parse(full, codes),
        VIEWS: lambda: sluice_evm.Witness.of_views(views, codes),
    }
