"""The walls of the house, read from the source: who may import whom, and what operators must never do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("schemas", "operators", "infra", "contracts", "flows")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "operators": {"operators", "schemas"},
    "infra": {"infra", "schemas"},
    "contracts": {"contracts"},
}
#: The build of the contracts is a tool, run by people; the encoder that flows use is not.
TOOLS = {"contracts/build.py", "contracts/forge_test.py", "contracts/toolchain.py"}

#: Modules by which a clock, chance, the machine or the outside would come into an operator.
IMPURE = {
    "asyncio", "concurrent", "confluent_kafka", "ctypes", "datetime", "httpx", "io", "locale", "logging", "multiprocessing", "os",
    "pathlib", "platform", "queue", "random", "requests", "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uuid", "web3", "websockets",
}  # fmt: skip
#: What of `sys` is a fact of the machine that shows in no result: operators ask for it to make results the same everywhere.
ALLOWED_OF_SYS = {"byteorder", "maxsize"}
#: Built-in calls that read the outside, or differ from process to process.
IMPURE_CALLS = {"hash", "id", "open", "input", "print", "eval", "exec", "__import__", "breakpoint"}
_SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
#: Calls to which the order of a set does not matter.
_ORDERLESS = {"sorted", "set", "frozenset", "len", "sum", "min", "max", "any", "all", "bool"}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported module, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def breaches(room: str, path: Path, tree: ast.AST) -> list[str]:
    found = []
    for line, module in imports(tree):
        top = module.split(".")[0]
        if module.startswith("."):
            found.append(f"{relative(path)}:{line}: relative import {module}; say where it is from")
        elif top in (*ROOMS, "tests") and top not in MAY_IMPORT.get(room, {*ROOMS}):
            found.append(f"{relative(path)}:{line}: {room} imports {module}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_they_may(room: str) -> None:
    paths = [p for p in sources(room) if relative(p) not in TOOLS]
    assert paths, f"no source in {room}"
    found = [breach for path in paths for breach in breaches(room, path, ast.parse(path.read_text()))]
    assert not found, "\n".join(found)


def impurities(path: Path, tree: ast.Module) -> list[str]:
    found = []
    for line, module in imports(tree):
        if module.split(".")[0] in IMPURE:
            found.append(f"{relative(path)}:{line}: an operator imports {module}")
    defined = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in IMPURE_CALLS - defined:
                found.append(f"{relative(path)}:{node.lineno}: an operator calls {name}()")
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("now", "utcnow", "today")
            and isinstance(node.value, ast.Name)
        ):
            found.append(f"{relative(path)}:{node.lineno}: an operator reads a clock: {node.value.id}.{node.attr}")
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
            and node.attr not in ALLOWED_OF_SYS
        ):
            found.append(f"{relative(path)}:{node.lineno}: an operator uses sys.{node.attr}")
    return found + [f"{relative(path)}:{line}: the order of a set shows" for line in ordered_sets(tree)]


def is_set(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is a set, as far as its own text tells."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id in ("set", "frozenset")
        return (
            isinstance(node.func, ast.Attribute) and node.func.attr in _SET_METHODS and is_set(node.func.value, names)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        keys = any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "keys"
            for n in (node.left, node.right)
        )
        return keys or is_set(node.left, names) or is_set(node.right, names)
    return False


def _names_a_set(annotation: ast.expr | None) -> bool:
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(base, ast.Name) and base.id in ("set", "frozenset", "AbstractSet")


def set_names(function: ast.AST) -> set[str]:
    """Names that hold a set in a function: by annotation, or by what is assigned to them."""
    names: set[str] = set()
    for node in ast.walk(function):
        if (isinstance(node, ast.arg) and _names_a_set(node.annotation)) or (
            isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _names_a_set(node.annotation)
        ):
            names.add(node.arg if isinstance(node, ast.arg) else node.target.id)  # type: ignore[union-attr]
        elif isinstance(node, ast.Assign) and is_set(node.value, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def ordered_sets(tree: ast.Module) -> set[int]:
    """Lines in which a set is gone through in its own order, or made into something that has one."""
    scopes: list[ast.AST] = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    found: set[int] = set()
    for scope in [*scopes, tree]:
        names = set_names(scope) if scope is not tree else set()
        parents = {child: parent for parent in ast.walk(scope) for child in ast.iter_child_nodes(parent)}
        for node in ast.walk(scope):
            if isinstance(node, ast.For) and is_set(node.iter, names):
                found.add(node.lineno)
            elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and any(
                is_set(g.iter, names) for g in node.generators
            ):
                parent = parents.get(node)
                orderless = (
                    isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in _ORDERLESS
                )
                if not orderless:
                    found.add(node.lineno)
            elif (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                and node.func.id in ("list", "tuple", "iter", "enumerate", "next", "zip", "map", "filter") and any(is_set(a, names) for a in node.args)
            ) or (isinstance(node, ast.Starred) and is_set(node.value, names) and not isinstance(parents.get(node), ast.Set)) or (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "extend") and any(is_set(a, names) for a in node.args)
            ):  # fmt: skip
                found.add(node.lineno)
    return found


def test_operators_are_pure() -> None:
    found = [i for path in sources("operators") for i in impurities(path, ast.parse(path.read_text()))]
    assert not found, "\n".join(found)


# ---------------------------------------------------------------- the wall itself


@pytest.mark.parametrize(
    "text",
    [
        "import time", "from os import environ", "def f():\n    import random", "import urllib.request", "x = hash('a')",
        "y = id(x)", "from datetime import datetime", "z = clock.now()", "import sys\nsys.argv",
        "for x in {1, 2}: pass", "x = [y for y in set(z)]", "def f(a: set[int]) -> list[int]:\n    return list(a)",
        "def f():\n    a = set()\n    for b in a: pass", "x = list(a.keys() - b)", "x = b''.join({b'1'})", "x = (*frozenset(y),)",
        "def f(a: frozenset[int]):\n    return {b: 1 for b in a}", "x = tuple(set(a) | b)",
    ],
)  # fmt: skip
def test_the_wall_sees(text: str) -> None:
    assert impurities(ROOT / "operators" / "x.py", ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "from collections import Counter", "import sys\nsys.byteorder", "x = sorted({1, 2})", "for x in sorted(set(y)): pass", "x = sum(y for y in {1, 2})",
        "x = any(a for a in set(b))", "x = 1 in {1, 2}", "x = {y for y in set(z)}", "x = len(set(y))", "for k in {}: pass",
        "def f(a: list[int]):\n    for b in a: pass", "def hash(): pass\nhash()",
    ],
)  # fmt: skip
def test_the_wall_lets_through(text: str) -> None:
    assert not impurities(ROOT / "operators" / "x.py", ast.parse(text))


def test_the_walls_see_a_breach() -> None:
    path = ROOT / "operators" / "x.py"
    for text in (
        "import infra.kafka",
        "from flows import search",
        "from contracts.executor import Hop",
        "from . import y",
        "import tests",
    ):
        assert breaches("operators", path, ast.parse(text)), text
    assert breaches("schemas", path, ast.parse("import operators"))
    assert breaches("infra", path, ast.parse("def f():\n    from operators import search"))
    assert breaches("contracts", path, ast.parse("import schemas.types"))
    assert not breaches("infra", path, ast.parse("import schemas.types, infra.chain, httpx"))
