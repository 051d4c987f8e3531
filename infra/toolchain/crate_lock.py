"""The crate lock without its registry's address: what is committed, and how cargo's own form is made of it again.

cargo writes the address of the index into each package of `Cargo.lock`. The committed `Cargo.lock.stripped` has everything else: names,
versions, checksums, dependencies. What the index is called is asked of cargo, which answers without the network.
"""

from __future__ import annotations

import json
import os
import subprocess

from infra.toolchain import layout
from infra.toolchain.cargo import Cargo

_SOURCE, _CHECKSUM = "source = ", "checksum = "


class LockUnusable(Exception):
    """A crate lock that cannot be stripped or restored; the message says why."""


def strip(lock: str) -> str:
    """A `Cargo.lock` without the sources. Raises `LockUnusable` where they are not all one registry: then they could not come back."""
    lines = lock.splitlines(keepends=True)
    sources = [
        (line, following) for line, following in zip(lines, [*lines[1:], ""], strict=True) if line.startswith(_SOURCE)
    ]
    if len({line for line, _ in sources}) > 1 or not all(following.startswith(_CHECKSUM) for _, following in sources):
        raise LockUnusable("every crate must come from the one registry, with a checksum")
    stripped = "".join(line for line in lines if not line.startswith(_SOURCE))
    if "://" in stripped:
        raise LockUnusable("a crate of one name and version comes from two places")
    return stripped


def restore(stripped: str, registry: str) -> str:
    """The `Cargo.lock` that was stripped: the source stands before the checksum of each package that has one."""
    line = f'{_SOURCE}"{registry}"\n{_CHECKSUM}'
    return "".join(
        line + text.removeprefix(_CHECKSUM) if text.startswith(_CHECKSUM) else text
        for text in stripped.splitlines(True)
    )


def registry_name(cargo: Cargo) -> str:
    """What cargo calls the index of the crate's dependencies. Raises `LockUnusable`."""
    command = [str(cargo.program), "metadata", "--no-deps", "--offline", "--format-version", "1"]
    answer = subprocess.run(
        command, cwd=layout.NATIVE, env=cargo.environment(dict(os.environ)), capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise LockUnusable(f"cargo cannot read native/Cargo.toml: {answer.stderr.strip()}")
    names = {dependency["source"] for dependency in json.loads(answer.stdout)["packages"][0]["dependencies"]}
    if len(names) != 1 or None in names:
        raise LockUnusable("every crate must come from the one registry")
    return str(names.pop())


def put_in_place(cargo: Cargo) -> None:
    """Write native/Cargo.lock as the committed lock says; a file that says so already is left as it is. Raises `LockUnusable`."""
    lock = layout.NATIVE / "Cargo.lock"
    wanted = restore(layout.CRATE_LOCK.read_text(encoding="utf-8"), registry_name(cargo))
    if not lock.exists() or lock.read_text(encoding="utf-8") != wanted:
        lock.write_text(wanted, encoding="utf-8")
