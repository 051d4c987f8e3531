"""The locks say what they must and nothing else; each tool is where `paths` says."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from infra.toolchain import fetch_jars, layout, paths, stamps
from infra.toolchain.lock import without_addresses

ADDRESS = re.compile(r"https?://|--index-url|--find-links|\"resolved\"")


@pytest.mark.parametrize(
    "lock", [layout.NPM_LOCK, layout.JAR_LOCK, layout.PYTHON_LOCK, layout.ROOT / "requirements/runtime.txt"]
)
def test_locks_name_no_address(lock: Path) -> None:
    assert not ADDRESS.search(lock.read_text())


def test_every_npm_package_has_an_integrity_hash() -> None:
    packages = json.loads(layout.NPM_LOCK.read_text())["packages"]
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    assert not any(entry.get("hasInstallScript") for entry in packages.values()), (
        "npm ci runs without scripts; nothing may need one"
    )


def test_npm_lock_matches_its_manifest() -> None:
    manifest, root = (
        json.loads(layout.NPM_MANIFEST.read_text()),
        json.loads(layout.NPM_LOCK.read_text())["packages"][""],
    )
    for group in ("dependencies", "optionalDependencies"):
        assert root[group] == manifest[group]


def test_every_python_package_is_pinned_with_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", layout.PYTHON_LOCK.read_text().split("\n", 2)[2])
    assert len(entries) > 60
    for entry in entries:
        assert re.match(r"[a-zA-Z0-9._-]+(\[[a-z,]+\])?==", entry) and "--hash=sha256:" in entry, entry.splitlines()[0]


def test_jar_lock_follows_its_manifest() -> None:
    wanted = tomllib.loads(layout.JAR_MANIFEST.read_text())["dependencies"]["coordinates"]
    locked = {f"{jar['groupId']}:{jar['artifactId']}:{jar['version']}" for jar in fetch_jars.locked_jars()}
    assert set(wanted) <= locked


def test_a_jar_lock_without_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "jgo.lock.toml"
    lock.write_text('[[dependencies]]\ngroupId = "g"\nartifactId = "a"\nversion = "1"\npackaging = "jar"\n')
    with pytest.raises(fetch_jars.JarFailed, match="make lock"):
        fetch_jars.locked_jars(lock)


def test_installed_jars_are_those_of_the_lock() -> None:
    expected = {jar["sha256"] for jar in fetch_jars.locked_jars()}
    assert {fetch_jars.sha256(Path(jar)) for jar in paths.kafka_classpath().split(":")} == expected


class _Artifact:
    """A jar in jgo's cache that arrives broken a number of times."""

    def __init__(self, path: Path, contents: list[bytes]) -> None:
        self._path, self._contents = path, contents

    def resolve(self) -> Path:
        if not self._path.exists():
            self._path.write_bytes(self._contents.pop(0))
        return self._path


def test_a_cut_off_jar_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = _Artifact(tmp_path / "a.jar", [b"whole"])
    (tmp_path / "a.jar").write_bytes(b"who")
    monkeypatch.setattr(fetch_jars, "_artifact", lambda _: artifact)
    import hashlib

    jar = {
        "groupId": "g",
        "artifactId": "a",
        "version": "1",
        "packaging": "jar",
        "sha256": hashlib.sha256(b"whole").hexdigest(),
    }
    assert fetch_jars.fetch(jar).read_bytes() == b"whole"


def test_a_wrong_jar_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = _Artifact(tmp_path / "a.jar", [b"evil"] * 10)
    monkeypatch.setattr(fetch_jars, "_artifact", lambda _: artifact)
    with pytest.raises(fetch_jars.JarFailed, match="not the file of the lock"):
        fetch_jars.fetch({"groupId": "g", "artifactId": "a", "version": "1", "packaging": "jar", "sha256": "00"})
    assert not (tmp_path / "a.jar").exists()


def test_addresses_are_taken_out_of_an_npm_lock() -> None:
    lock = {"packages": {"": {}, "node_modules/a": {"version": "1", "resolved": "x", "funding": "y", "integrity": "z"}}}
    assert without_addresses(lock)["packages"]["node_modules/a"] == {"version": "1", "integrity": "z"}


@pytest.mark.parametrize("tool", [paths.anvil, paths.forge, paths.solc, paths.node, paths.java])
def test_tools_run(tool) -> None:
    flag = "-version" if tool is paths.java else "--version"
    assert subprocess.run([tool(), flag], capture_output=True, check=True, timeout=240)


def test_solc_compiles_standard_json() -> None:
    source = {"A.sol": {"content": "pragma solidity ^0.8.0; contract A { uint256 public x = 1; }"}}
    job = {
        "language": "Solidity",
        "sources": source,
        "settings": {"outputSelection": {"*": {"*": ["evm.bytecode.object"]}}},
    }
    result = subprocess.run(
        [paths.solc(), "--standard-json"], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout)["contracts"]["A.sol"]["A"]["evm"]["bytecode"]["object"]


def test_solc_refuses_what_it_does_not_know() -> None:
    result = subprocess.run([paths.solc(), "--bin", "A.sol"], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "standard-json" in result.stderr


def test_npm_packages_are_found_and_missing_ones_say_what_to_do() -> None:
    assert (paths.npm_package("@uniswap/v2-core") / "build" / "UniswapV2Factory.json").exists()
    with pytest.raises(paths.ToolMissing, match="make setup"):
        paths.npm_package("no-such-package")


def test_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "STAMPS", tmp_path / "stamps")
    assert not stamps.is_done("step", "key")
    stamps.mark_done("step", "key")
    assert stamps.is_done("step", "key") and not stamps.is_done("step", "other key")
    stamps.forget("step")
    stamps.forget("step")
    assert not stamps.is_done("step", "key")


def test_the_key_changes_with_each_part(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("ab")
    assert (
        len(
            {
                layout.digest("ab", "c"),
                layout.digest("a", "bc"),
                layout.digest(tmp_path / "f"),
                layout.digest(tmp_path / "f", "c"),
            }
        )
        == 3
    )
