"""The engine extension in the set-up: built, used ready-made or done without, each with one line; its lock names no address."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import pytest

from infra.toolchain import cargo, crate_lock, extension, layout, stamps
from infra.toolchain.cargo import Cargo, CargoMissing
from infra.toolchain.progress import StepFailed
from operators.simulation.engines import describe

HERE = Cargo(Path("/nowhere/cargo"), "1.91.0", "rustc 1.91.0")
REGISTRY = "registry+somewhere"
LOCK = f"""version = 4

[[package]]
name = "ours"
version = "0.1.0"
dependencies = [
 "theirs",
]

[[package]]
name = "theirs"
version = "2.0.0"
source = "{REGISTRY}"
checksum = "00ff"
"""


# -------------------------------------------------------------------- the crate lock


def test_a_stripped_lock_is_restored_to_the_byte() -> None:
    stripped = crate_lock.strip(LOCK)
    assert REGISTRY not in stripped and "00ff" in stripped
    assert crate_lock.restore(stripped, REGISTRY) == LOCK
    assert crate_lock.strip(stripped) == stripped


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param(
            LOCK + '\n[[package]]\nname = "x"\nsource = "registry+elsewhere"\nchecksum = "01"\n', id="two registries"
        ),
        pytest.param(LOCK.replace('checksum = "00ff"\n', ""), id="no checksum"),
        pytest.param(
            LOCK.replace('"theirs",', '"theirs 2.0.0 (git+https://elsewhere)",'), id="an address among the dependencies"
        ),
    ],
)
def test_a_lock_that_could_not_be_restored_is_refused(lock: str) -> None:
    with pytest.raises(crate_lock.LockUnusable):
        crate_lock.strip(lock)


def test_the_committed_lock_pins_every_crate_by_checksum_and_no_address() -> None:
    text = layout.CRATE_LOCK.read_text()
    assert "://" not in text and "source =" not in text
    packages = tomllib.loads(text)["package"]
    assert [package["name"] for package in packages if len(package.get("checksum", "")) != 64] == ["sluice-evm"]


def test_the_committed_lock_follows_its_manifest() -> None:
    manifest = tomllib.loads((layout.NATIVE / "Cargo.toml").read_text())
    locked = {
        package["name"]: package["version"] for package in tomllib.loads(layout.CRATE_LOCK.read_text())["package"]
    }
    assert locked["sluice-evm"] == manifest["package"]["version"]
    for name, wanted in manifest["dependencies"].items():
        version = wanted if isinstance(wanted, str) else wanted["version"]
        assert f"={locked[name]}" == version


def test_no_file_of_the_crate_names_an_address() -> None:
    files = [
        path
        for path in layout.NATIVE.rglob("*")
        if path.is_file() and path.suffix in {".rs", ".toml", ".md", ".py", ".pyi", ".stripped"}
    ]
    assert len(files) > 20
    assert [path.name for path in files if "://" in path.read_text(encoding="utf-8")] == []


# -------------------------------------------------------------------- finding cargo


def write_program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing installed: folders `bin` on the PATH and `home`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_no_cargo(machine: Path) -> None:
    with pytest.raises(CargoMissing, match="no cargo found"):
        cargo.find()


@pytest.mark.parametrize("folder", ["bin", "home/.cargo/bin"])
def test_cargo_on_the_path_and_where_rustup_puts_it(machine: Path, folder: str) -> None:
    write_program(machine / folder, "cargo", "echo 'cargo 1.91.1 (abc 2025-11-01)'")
    write_program(machine / folder, "rustc", "echo 'rustc 1.91.1'")
    found = cargo.find()
    assert (found.program, found.version, found.compiler) == (machine / folder / "cargo", "1.91.1", "rustc 1.91.1")
    assert found.environment({"PATH": "rest"})["PATH"] == f"{machine / folder}{os.pathsep}rest"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("echo 'cargo 1.90.0'", "older than 1.91"),
        ("exit 1", "does not work"),
        ("echo hello", "does not work"),
        ("echo 'cargo 2.0.0'", "no rustc"),
    ],
)
def test_a_cargo_that_will_not_do(machine: Path, answer: str, reason: str) -> None:
    write_program(machine / "bin", "cargo", answer)
    with pytest.raises(CargoMissing, match=reason):
        cargo.find()


def test_an_old_cargo_on_the_path_does_not_hide_a_new_one(machine: Path) -> None:
    write_program(machine / "bin", "cargo", "echo 'cargo 1.70.0'")
    write_program(machine / "home/.cargo/bin", "cargo", "echo 'cargo 1.95.0'")
    write_program(machine / "home/.cargo/bin", "rustc", "echo 'rustc 1.95.0'")
    assert cargo.find().version == "1.95.0"


def test_rustup_is_told_to_fetch_no_toolchain(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSTUP_AUTO_INSTALL", "1")
    write_program(machine / "bin", "cargo", '[ "$RUSTUP_AUTO_INSTALL" = 0 ] && echo "cargo 1.91.0"')
    write_program(machine / "bin", "rustc", '[ "$RUSTUP_AUTO_INSTALL" = 0 ] && echo "rustc 1.91.0"')
    assert cargo.find().environment({"RUSTUP_AUTO_INSTALL": "1"})["RUSTUP_AUTO_INSTALL"] == "0"


# -------------------------------------------------------------------- the set-up's choice


class House:
    """A project folder without a real environment: what is installed, and what building would do, is set by the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed: str | None = None
        self.built_here = False
        self.cargo: Cargo | None = None
        self.sources = "sources"
        self.builds = True
        self.done: list[str] = []

    def find(self) -> Cargo:
        if self.cargo is None:
            raise CargoMissing("no cargo found")
        return self.cargo

    def run(self, command: list[str], log: Path, *_: object) -> None:
        verb = command[1] if command[0].endswith("maturin") else command[3]
        self.done.append(verb)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("   Compiling x\nerror: failed to get `revm`\n\nCaused by: no network\n")
        if verb == "build":
            if not self.builds:
                raise StepFailed("ended with 101")
            (Path(command[command.index("--out") + 1]) / "sluice_evm-0-py3.whl").touch()
        elif verb == "install":
            self.installed, self.built_here = extension.crate_version(), True
        elif verb == "uninstall":
            self.installed = None


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path)
    for name in ("HOME", "STAMPS", "LOGS", "WHEELS"):
        monkeypatch.setattr(layout, name, tmp_path / name.lower())
    monkeypatch.setattr(cargo, "find", made.find)
    monkeypatch.setattr(crate_lock, "put_in_place", lambda _: None)
    monkeypatch.setattr(extension, "run_logged", made.run)
    monkeypatch.setattr(extension, "installed_version", lambda: made.installed)
    monkeypatch.setattr(extension, "_built_here", lambda: made.built_here)
    monkeypatch.setattr(extension, "sources_key", lambda: made.sources)
    return made


def test_without_cargo_one_line_says_what_it_means(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert not extension.set_up()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and "pyrevm (rules up to Cancun" in said[0] and "no cargo found; where cargo 1.91" in said[0]
    assert house.done == []


def test_the_set_up_and_the_engine_say_the_same_of_pyrevm() -> None:
    assert describe("pyrevm") == extension.PYREVM


def test_with_cargo_it_is_built_once(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.cargo = HERE
    assert extension.set_up()
    assert "building the extension with cargo 1.91.0" in capsys.readouterr().out
    assert not extension.set_up()
    assert house.done == ["build", "install"]
    assert "engine: revm" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["sources", "compiler", "lost"])
def test_it_is_built_again_when_what_it_is_made_of_changes(house: House, change: str) -> None:
    house.cargo = HERE
    extension.set_up()
    if change == "sources":
        house.sources = "others"
    elif change == "compiler":
        house.cargo = Cargo(HERE.program, "1.92.0", "rustc 1.92.0")
    else:
        house.installed = None
    assert extension.set_up()
    assert house.done == ["build", "install"] * 2


@pytest.mark.parametrize("found", [None, HERE])
def test_a_ready_made_one_is_used(house: House, found: Cargo | None, capsys: pytest.CaptureFixture[str]) -> None:
    house.cargo, house.installed = found, extension.crate_version()
    assert not extension.set_up()
    assert house.done == [] and "engine: revm" in capsys.readouterr().out


def test_one_built_here_is_used_where_cargo_has_gone(house: House) -> None:
    house.cargo = HERE
    extension.set_up()
    house.cargo = None
    assert not extension.set_up()
    assert house.done == ["build", "install"]


@pytest.mark.parametrize("stale", ["sources", "version"])
def test_one_of_other_sources_is_taken_away(house: House, stale: str, capsys: pytest.CaptureFixture[str]) -> None:
    house.installed, house.built_here = ("0.0.1", False) if stale == "version" else (extension.crate_version(), True)
    assert extension.set_up()
    assert house.done == ["uninstall"] and house.installed is None
    assert "pyrevm" in capsys.readouterr().out


def test_a_failed_build_is_told_in_one_line_and_not_tried_at_every_start(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.cargo, house.builds = HERE, False
    assert extension.set_up()
    line = capsys.readouterr().out.splitlines()[-1]
    assert "pyrevm" in line and "failed to get `revm`" in line and extension.LOG in line and "make wheel" in line
    assert not extension.set_up()
    assert house.done == ["build"] and "make wheel" in capsys.readouterr().out
    house.sources, house.builds = "mended", True
    assert extension.set_up()
    assert house.done == ["build", "build", "install"]


def test_an_unusable_lock_is_a_failed_build(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(_: Cargo) -> None:
        raise crate_lock.LockUnusable("cargo cannot read native/Cargo.toml")

    monkeypatch.setattr(crate_lock, "put_in_place", refuses)
    house.cargo = HERE
    assert extension.set_up()
    assert "cannot read native/Cargo.toml" in capsys.readouterr().out and house.done == []


def test_an_interrupted_build_is_done_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.cargo = HERE
    extension.set_up()
    house.sources = "others"

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(extension, "run_logged", breaks)
        with pytest.raises(KeyboardInterrupt):
            extension.set_up()
    assert extension.set_up() and stamps.is_done("extension", "others")


def test_a_wheel_without_cargo_is_refused_and_a_ready_one_is_not_built_again(house: House) -> None:
    with pytest.raises(StepFailed, match=r"cargo 1\.91"):
        extension.make_wheel()
    house.cargo = HERE
    house.folder.joinpath("home").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(layout, "ROOT", house.folder)
        patched.setattr(extension, "crate_version", lambda: "0.1.0")
        extension.make_wheel()
        extension.make_wheel()
    assert house.done == ["build", "install"]


# -------------------------------------------------------------------- the real cargo


def test_the_real_cargo_restores_a_lock_that_it_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        found = cargo.find()
    except CargoMissing as missing:
        pytest.skip(f"needs cargo: {missing}")
    for name in ("Cargo.toml", "Cargo.lock.stripped"):
        shutil.copy(layout.NATIVE / name, tmp_path)
    shutil.copytree(layout.NATIVE / "src", tmp_path / "src")
    monkeypatch.setattr(layout, "NATIVE", tmp_path)
    crate_lock.put_in_place(found)
    restored = (tmp_path / "Cargo.lock").read_text()
    assert crate_lock.strip(restored) == layout.CRATE_LOCK.read_text()
    assert all("source" in package for package in tomllib.loads(restored)["package"] if "checksum" in package)
