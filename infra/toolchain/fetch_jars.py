"""Fetches the broker's jars through jgo, exactly those of the committed lock, and checks each sha256.

Run by the set-up with the virtual environment's Python: `python -m infra.toolchain.fetch_jars TARGET`. The lock names every jar, so
nothing is resolved here; jgo finds each one by its coordinate. jgo keeps its files under the project's folder, never in the home folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.toolchain import layout

CONNECTIONS = 4
ATTEMPTS = 3
TIMEOUT_SECONDS = 60

LockedJar = dict[str, Any]


class JarFailed(RuntimeError):
    """A jar could not be fetched, or is not the one the lock names."""


def locked_jars(lock: Path = layout.JAR_LOCK) -> list[LockedJar]:
    """The jars of the lock, each with coordinate and sha256."""
    jars: list[LockedJar] = tomllib.loads(lock.read_text(encoding="utf-8"))["dependencies"]
    without = [jar["artifactId"] for jar in jars if not jar.get("sha256")]
    if without:
        raise JarFailed(f"{lock.name} has no sha256 for {', '.join(without)}: run `make lock`")
    return jars


def sha256(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _artifact(jar: LockedJar) -> Any:
    """jgo's handle of one jar."""
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(resolver=PythonResolver(), repo_cache=layout.CACHE / "maven", timeout=TIMEOUT_SECONDS)
    component = context.project(jar["groupId"], jar["artifactId"]).at_version(jar["version"])
    return component.artifact(jar.get("classifier") or "", jar["packaging"])


def fetch(jar: LockedJar) -> Path:
    """One jar in jgo's cache, checked. A file cut short by an earlier interruption is thrown away and fetched again."""
    name = f"{jar['groupId']}:{jar['artifactId']}:{jar['version']}"
    problem = "was never tried"
    for _ in range(ATTEMPTS):
        artifact = _artifact(jar)
        try:
            path = Path(artifact.resolve())
        except Exception as error:
            problem = f"could not be fetched: {error}"
            continue
        if sha256(path) == jar["sha256"]:
            return path
        problem = f"is not the file of the lock: sha256 {sha256(path)}, expected {jar['sha256']}"
        path.unlink()
    raise JarFailed(f"{name} {problem}")


def place(source: Path, target: Path) -> None:
    """Put a cached jar into the class path's folder, sharing the disk space where that is possible."""
    try:
        os.link(source, target / source.name)
    except OSError:
        (target / source.name).write_bytes(source.read_bytes())


def main(target: Path) -> None:
    """Fetch all jars of the lock into `target`."""
    jars = locked_jars()
    target.mkdir(parents=True)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for count, path in enumerate(pool.map(fetch, jars), 1):
            place(path, target)
            print(f"{count} of {len(jars)} jars, {path.name}", flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except JarFailed as failure:
        sys.exit(str(failure))
