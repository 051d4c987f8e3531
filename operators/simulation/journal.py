"""What a run touched and changed, read out of the text in which pyrevm shows its journal (the only place that tells)."""

from __future__ import annotations

import re
from typing import NamedTuple

_ACCOUNT = ": Account { info: AccountInfo { balance: "
_STORAGE = " }, storage: {"
_STATUS = "}, status: AccountStatus("
_SLOT = re.compile(r"(\d+): StorageSlot \{ previous_or_original_value: (\d+), present_value: (\d+) \}")
_INFO = re.compile(r"(\d+), nonce: (\d+), code_hash: 0x([0-9a-f]{64}), code: ")
_CODE = re.compile(r"Some\(Bytecode \{ bytecode: 0x([0-9a-f]*), state: (?:Analysed \{ len: (\d+))?")
_DB_START = "db: Memory(CacheDB { accounts: {"
_DB_END = "}, contracts: {"
_DB_ACCOUNT = re.compile(r"0x([0-9a-f]{40}): DbAccount \{ info: ")
_DB_STORAGE = re.compile(r", account_state: \w+, storage: \{([^}]*)\} \}")
_DB_SLOT = re.compile(r"(\d+): ")
_BLOCK_HASHES = re.compile(r"block_hashes: \{(\d+): ")


class JournalFormatError(Exception):
    """The text is not what the pinned version of pyrevm writes."""


class TouchedAccount(NamedTuple):
    """An account that a run loaded. `slots` maps each slot it loaded to (value before, value after).

    `code` is given for contracts the run created, else None.
    """

    balance: int
    nonce: int
    code_hash: bytes
    slots: dict[int, tuple[int, int]]
    touched: bool
    created: bool
    destroyed: bool
    code: bytes | None


def read_journal(text: str) -> dict[bytes, TouchedAccount]:
    """The accounts in a journal, in the order of their addresses. Raises `JournalFormatError`."""
    found: dict[bytes, TouchedAccount] = {}
    end = text.rfind("}, transient_storage: ")
    at = text.find(_ACCOUNT)
    if end < 0 or (at < 0 and not text.startswith("JournaledState { state: {}")):
        raise JournalFormatError("pyrevm shows its journal in a form this version does not know")
    while 0 <= at < end:
        address = bytes.fromhex(text[at - 40 : at])
        info_at = at + len(_ACCOUNT)
        storage_at = text.find(_STORAGE, info_at)
        status_at = text.find(_STATUS, storage_at)
        info = _INFO.match(text, info_at)
        if storage_at < 0 or status_at < 0 or info is None:
            raise JournalFormatError(f"pyrevm shows account 0x{address.hex()} in a form this version does not know")
        status = text[status_at + len(_STATUS) : text.index(")", status_at)]
        created = "Created" in status
        found[address] = TouchedAccount(
            balance=int(info[1]),
            nonce=int(info[2]),
            code_hash=bytes.fromhex(info[3]),
            slots={
                int(key): (int(before), int(after))
                for key, before, after in _SLOT.findall(text, storage_at + len(_STORAGE), status_at)
            },
            touched="Touched" in status,
            created=created,
            destroyed="SelfDestructed" in status,
            code=_code(text, info.end()) if created else None,
        )
        at = text.find(_ACCOUNT, status_at)
    return dict(sorted(found.items()))


def _code(text: str, at: int) -> bytes:
    shown = _CODE.match(text, at)
    if shown is None:
        return b""
    code = bytes.fromhex(shown[1])
    # An analysed code is shown with the padding that the analysis appends.
    return code[: int(shown[2])] if shown[2] is not None else code


class Asked(NamedTuple):
    """What a memory database holds after a run: the slots of each account loaded into it or asked of it, and the number of
    a block whose hash was asked for (None: of none). Unlike the journal it forgets nothing when a call reverts."""

    slots: dict[bytes, list[int]]
    block_hash: int | None


def read_database(shown: str) -> Asked:
    """What was asked, out of the text of a whole EVM with a memory database. Raises `JournalFormatError`."""
    start = shown.find(_DB_START)
    end = shown.find(_DB_END, start)
    if start < 0 or end < 0:
        raise JournalFormatError("pyrevm shows its database in a form this version does not know")
    slots: dict[bytes, list[int]] = {}
    for account in _DB_ACCOUNT.finditer(shown, start, end):
        storage = _DB_STORAGE.search(shown, account.end())
        if storage is None:
            raise JournalFormatError(f"pyrevm shows account 0x{account[1]} in a form this version does not know")
        slots[bytes.fromhex(account[1])] = sorted(map(int, _DB_SLOT.findall(storage[1])))
    hashes = _BLOCK_HASHES.search(shown, end)
    return Asked(dict(sorted(slots.items())), None if hashes is None else int(hashes[1]))
