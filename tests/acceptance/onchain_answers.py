"""Recorded answers of pool contracts and the pool states they belong to, found by their shape, loose or inside tar archives.

An answers file is `{"block_number": n, "entries": {"0xpool|function|…|amount": {"value": answer}}}`; a state file names `address`, `block` and
`balances`; a state file of several blocks has them under `states`, and what they share under `immutable`.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.files import UnreadableFile, parse, read_all
from tests.acceptance.result import SuiteResult

_ARCHIVES = (".tar", ".tar.xz", ".tar.gz", ".tgz")
_MARKS = (b'"entries"', b'"balances"', b'"poolType"', b'"queryOutput"')

State = dict[str, Any]
#: (pool address in small letters, block) → state.
States = dict[tuple[str, int], State]


class Answer(NamedTuple):
    """One recorded answer: the key's parts between the pool and the amount, and what the contract said."""

    where: str
    pool: str
    function: str
    parts: tuple[str, ...]
    amount: int
    block: int
    value: Any


def documents(data: Path) -> Iterator[tuple[str, Any]]:
    """(where it is, content) of every JSON file of these shapes under the folder. Raises `UnreadableFile`."""
    for path, raw in read_all(data, *_MARKS):
        yield str(path), parse(path, raw)
    for path, name, raw in members(data):
        if name.endswith(".json") and any(mark in raw for mark in _MARKS):
            yield f"{path}:{name}", parse(Path(name), raw)


def members(data: Path) -> Iterator[tuple[Path, str, bytes]]:
    """(archive, member's name, its bytes) of the JSON and text files in every tar archive under the folder, in the archives' order."""
    for path in sorted(path for path in data.rglob("*") if path.name.endswith(_ARCHIVES) and path.is_file()):
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.name.endswith((".json", ".txt")) else None
                    if file is not None:
                        yield path, member.name, file.read()
        except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
            raise UnreadableFile(f"{path}: {error}") from None


def answers_and_states(data: Path, functions: frozenset[str]) -> tuple[list[Answer], States, list[tuple[str, Any]]]:
    """The answers of these functions, every state there is, and the remaining documents."""
    answers: list[Answer] = []
    states: States = {}
    rest: list[tuple[str, Any]] = []
    for where, content in documents(data):
        if not isinstance(content, dict):
            continue
        if isinstance(content.get("entries"), dict):
            answers.extend(_answers(where, content, functions))
        elif {"address", "block", "balances"} <= content.keys():
            states[content["address"].lower(), int(content["block"])] = content
        elif {"immutable", "states"} <= content.keys():
            shared = content["immutable"]
            for block, state in content["states"].items():
                states[shared["address"].lower(), int(block)] = shared | state
        else:
            rest.append((where, content))
    return answers, states, rest


def _answers(where: str, content: dict[str, Any], functions: frozenset[str]) -> Iterator[Answer]:
    for key, entry in content["entries"].items():
        pool, _, call = key.partition("|")
        function, *parts = call.split("|")
        if function not in functions or not isinstance(entry, dict):
            continue
        block = int(content.get("block_number", 0))
        named = [part for part in parts[:-1] if part.startswith("blk") and part[3:].isdigit()]
        if named:
            block = int(named[0][3:])
        kept = tuple(part for part in parts[:-1] if part not in named)
        amount = int(parts[-1]) if parts[-1:] and parts[-1].isdigit() else None
        value = entry.get("value") if amount is not None else None
        yield Answer(f"{Path(where).name} {key}", pool.lower(), function, kept, amount or 0, block, value)


def coins(parts: tuple[str, ...], symbols: list[str]) -> tuple[int, int] | None:
    """The indices of the coins that a key names as `A->B` or `i=0`, `j=1`; None if it names none that the pool has."""
    for part in parts:
        if "->" in part:
            sold, _, bought = part.partition("->")
            return (symbols.index(sold), symbols.index(bought)) if sold in symbols and bought in symbols else None
    numbers = dict(part.split("=", 1) for part in parts if "=" in part)
    if {"i", "j"} <= numbers.keys():
        return int(numbers["i"]), int(numbers["j"])
    return None


def check_oracle_lines(
    data: Path, name: str, solve: Callable[[str, list[str]], str | None], result: SuiteResult
) -> None:
    """Lines `function arguments = value` of recorded text files whose name holds `name`; `solve` answers None for what is not its own,
    and `reverts` where the contract would, which a line may call an error and an unbounded computation may not notice."""
    for path, member, raw in members(data):
        if not (member.endswith(".txt") and name in Path(member).name):
            continue
        for line in raw.decode().splitlines():
            left, found, expected = line.strip().partition(" = ")
            if not found:
                continue
            function, *arguments = left.split()
            answer = solve(function, arguments)
            if answer is None:
                continue
            if answer == "reverts" and not expected.startswith("ERROR"):
                result.refuse("leaves_256_bits")
            else:
                same = answer == expected or (answer == "reverts" and expected.startswith("ERROR"))
                result.check(same, f"{path.name}:{member}: {line.strip()} found {answer}")


def numbers(argument: str) -> tuple[int, ...]:
    """A list of integers in a line of such a file."""
    return tuple(int(value) for value in json.loads(argument))
