"""Writes the locks anew: `make lock`. Versions and hashes only; no lock names the place its packages came from."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from infra.toolchain import cargo, crate_lock, layout, paths

REQUIREMENTS = layout.ROOT / "requirements"


def lock_python() -> None:
    """The Python locks, for 3.11 and 3.12 on every platform at once."""
    for name, extra in (("runtime", ()), ("dev", ("-c", "runtime.txt")), ("rivals", ())):
        command = [
            *(str(layout.VENV / "bin" / "uv"), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
            *(
                "--generate-hashes",
                "--no-emit-index-url",
                "--no-emit-find-links",
                "--custom-compile-command",
                "make lock",
            ),
            *(*extra, "--output-file", f"{name}.txt", f"{name}.in"),
        ]
        environment = {key: value for key, value in os.environ.items() if key != "PIP_FIND_LINKS"}
        subprocess.run(command, cwd=REQUIREMENTS, check=True, env=environment)


def without_addresses(lock: dict[str, Any]) -> dict[str, Any]:
    """An npm lock that names packages by version and integrity only."""
    for package in lock["packages"].values():
        for field in ("resolved", "funding"):
            package.pop(field, None)
    return lock


def lock_npm() -> None:
    """The npm lock, from package.json."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(layout.NPM_MANIFEST, scratch)
        environment = dict(os.environ, PATH=f"{paths.node().parent}:{os.environ.get('PATH', os.defpath)}")
        command = [str(paths.node()), str(paths.npm_cli()), "install", "--package-lock-only", "--ignore-scripts"]
        subprocess.run(command, cwd=scratch, check=True, env=environment)
        lock = json.loads((Path(scratch) / layout.NPM_LOCK.name).read_text(encoding="utf-8"))
    layout.NPM_LOCK.write_text(json.dumps(without_addresses(lock), indent=2) + "\n", encoding="utf-8")


def lock_jars() -> None:
    """The jar lock, from jgo.toml, without the moment it was made: the same input gives the same file."""
    command = [
        *(str(layout.VENV / "bin" / "jgo"), "--ignore-config", "--resolver", "python"),
        *("--repo-cache", str(layout.CACHE / "maven"), "--cache-dir", str(layout.CACHE / "jgo"), "lock"),
    ]
    subprocess.run(command, cwd=layout.TOOLCHAIN, check=True)
    text = layout.JAR_LOCK.read_text(encoding="utf-8")
    layout.JAR_LOCK.write_text(re.sub(r"^generated = .*\n", "", text, flags=re.MULTILINE), encoding="utf-8")


def lock_crates() -> None:
    """The crate lock, from native/Cargo.toml; where cargo is."""
    try:
        found = cargo.find()
    except cargo.CargoMissing as missing:
        print(f"the crate lock stays as it is: {missing}", flush=True)
        return
    lock = layout.NATIVE / "Cargo.lock"
    if not lock.exists():
        crate_lock.put_in_place(found)
    # Only what the manifest asks for: crates that are locked and still fit keep their versions.
    environment = found.environment(dict(os.environ))
    subprocess.run([str(found.program), "update", "--workspace"], cwd=layout.NATIVE, check=True, env=environment)
    layout.CRATE_LOCK.write_text(crate_lock.strip(lock.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    for task in (lock_python, lock_npm, lock_jars, lock_crates):
        print(f"{(task.__doc__ or '').splitlines()[0]} …", flush=True)
        task()
