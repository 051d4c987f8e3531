"""The engine extension `sluice_evm`: built from native/ where cargo is, used ready-made where it is installed, done without elsewhere.

Nothing here fails the set-up: without the extension the simulation runs on pyrevm, and one line says so.
"""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path

from infra.toolchain import cargo, crate_lock, layout, stamps, steps
from infra.toolchain.cargo import Cargo, CargoMissing
from infra.toolchain.progress import StepFailed, run_logged, say, tail

PYREVM = "engine: pyrevm (rules up to Cancun, one core, what it cannot do exactly is refused)"
OLDEST = ".".join(map(str, cargo.OLDEST))
LOG = "setup-extension.log"


# -------------------------------------------------------------------- what is there


def crate_version() -> str:
    """The version of the crate in native/."""
    manifest = tomllib.loads((layout.NATIVE / "Cargo.toml").read_text(encoding="utf-8"))
    return str(manifest["package"]["version"])


def sources_key() -> str:
    """One hash over all the extension is made of."""
    trees = (path for name in ("src", "python") for path in (layout.NATIVE / name).rglob("*"))
    files = [path for path in trees if path.is_file() and "__pycache__" not in path.parts]
    files += [*(layout.NATIVE / name for name in ("Cargo.toml", "pyproject.toml")), layout.CRATE_LOCK]
    parts = [part for path in sorted(files) for part in (path.relative_to(layout.NATIVE).as_posix(), path)]
    return layout.digest(*parts)


def installed_version() -> str | None:
    """The version of the extension in the project's environment, None when it is not there or does not load."""
    question = "import sluice_evm, importlib.metadata as m; print(m.version('sluice-evm'))"
    answer = subprocess.run(
        [str(layout.venv_python()), "-P", "-c", question], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def _built_here() -> bool:
    """Whether the installed extension came out of this folder's own build; pip notes where a wheel was."""
    site = layout.site_packages()
    notes = sorted(site.glob("sluice_evm-*.dist-info/direct_url.json")) if site else []
    return any(f"{layout.WHEELS.as_uri()}/" in note.read_text(encoding="utf-8") for note in notes)


def _is_current(version: str | None, compiler: str | None) -> bool:
    """Whether the installed extension may be used: ready-made of the right version, or built from just these sources."""
    if version != crate_version():
        return False
    if not _built_here():
        return True
    return stamps.is_done("extension", sources_key()) and (
        compiler is None or stamps.is_done("extension-compiler", compiler)
    )


# -------------------------------------------------------------------- set-up


def set_up() -> bool:
    """Have the extension where that is possible, and say which engine it will be. True when something was done for it."""
    version = installed_version()
    try:
        found = cargo.find()
    except CargoMissing as missing:
        if _is_current(version, None):
            say(f"engine: revm (sluice_evm {version}, already installed)")
            return False
        return _go_without(version, f"{missing}; where cargo {OLDEST} or newer is, the full engine is built")
    compiler = layout.digest(found.compiler)
    if _is_current(version, compiler):
        say(f"engine: revm (sluice_evm {version}, {'built here' if _built_here() else 'installed ready-made'})")
        return False
    attempt = layout.digest(sources_key(), compiler)
    log = layout.LOGS / LOG
    if stamps.is_done("extension-failed", attempt):
        return _go_without(version, f"the extension could not be built; log: {log}; `make wheel` tries again")
    try:
        build(found)
    except StepFailed:
        stamps.mark_done("extension-failed", attempt)
        _go_without(
            version,
            f"cargo {found.version} could not build the extension: {_cause(log)}; log: {log}; `make wheel` tries again",
        )
    return True


def _go_without(version: str | None, why: str) -> bool:
    """Say that it will be pyrevm. An extension of other sources is taken away: decisions would carry a name that is not its own."""
    if version is not None:
        say(f"taking sluice_evm {version} away: it is not of these sources")
        _pip("uninstall", "--yes", "sluice-evm")
    say(f"{PYREVM}: {why}")
    return version is not None


def _cause(log: Path) -> str:
    """The first error in the build's log, in one line."""
    lines = [line.strip() for line in tail(log, 10_000).splitlines()]
    return next((line for line in lines if line.startswith("error")), lines[-1] if lines else "no output")[:160]


# -------------------------------------------------------------------- building


def _environment(found: Cargo) -> dict[str, str]:
    environment = found.environment(steps.tool_environment())
    # The build script asks a Python what it is; no other than the project's own has a say.
    environment.update(CARGO_TARGET_DIR=str(layout.CARGO_TARGET), PYO3_PYTHON=_python(), RUST_BACKTRACE="0")
    environment.pop("CARGO_BUILD_TARGET", None)
    return environment


def _python() -> str:
    return str(layout.venv_python() if layout.venv_python().exists() else sys.executable)


def build(found: Cargo) -> Path:
    """Build the wheel into .sluice/wheels and install it. Returns the wheel. Raises `StepFailed`."""
    say(f"engine: building the extension with cargo {found.version} (about two minutes) …")
    started = time.monotonic()
    log = layout.LOGS / LOG
    _restore_lock(found, log)
    key, draft = sources_key(), layout.WHEELS.with_name("wheels.draft")
    steps.fresh(draft)
    run_logged(
        [
            *(str(layout.VENV / "bin" / "maturin"), "build", "--release", "--locked", "--out", str(draft)),
            *("--interpreter", str(layout.venv_python()), "--manifest-path", str(layout.NATIVE / "Cargo.toml")),
        ],
        log,
        _environment(found),
        layout.NATIVE,
        "The crates come from cargo's registry: if this is the network, check it and run `make wheel`.",
    )
    steps.replace(draft, layout.WHEELS)
    (wheel,) = layout.WHEELS.glob("sluice_evm-*.whl")
    _pip("install", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
    # Marked last, and the sources as they were before the build: whatever changes or breaks meanwhile is built again.
    stamps.mark_done("extension", key)
    stamps.mark_done("extension-compiler", layout.digest(found.compiler))
    stamps.forget("extension-failed")
    say(
        f"engine: revm, built with cargo {found.version} in {time.monotonic() - started:.0f} s (rules up to Osaka, all cores)"
    )
    return wheel


def _restore_lock(found: Cargo, log: Path) -> None:
    try:
        crate_lock.put_in_place(found)
    except (crate_lock.LockUnusable, OSError) as failure:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"error: {failure}\n", encoding="utf-8")
        raise StepFailed(f"native/Cargo.lock could not be made: {failure}")


def _pip(*arguments: str) -> None:
    command = [str(layout.venv_python()), "-m", "pip", *arguments]
    run_logged(
        command,
        layout.LOGS / "setup-extension-pip.log",
        steps.tool_environment(),
        layout.ROOT,
        "Then run `make wheel`.",
    )


# -------------------------------------------------------------------- by hand


def make_wheel() -> None:
    """`make wheel`: the wheel for these sources, built unless it is there. Raises `StepFailed` where it cannot be had."""
    try:
        found = cargo.find()
    except CargoMissing as missing:
        raise StepFailed(f"no wheel without cargo {OLDEST} or newer: {missing}")
    with stamps.only_one():
        wheels = sorted(layout.WHEELS.glob("sluice_evm-*.whl"))
        current = stamps.is_done("extension", sources_key()) and stamps.is_done(
            "extension-compiler", layout.digest(found.compiler)
        )
        wheel = wheels[0] if wheels and current else build(found)
    print(wheel.relative_to(layout.ROOT))


def check() -> None:
    """`make check-native`: the crate's own tests and lints, where cargo is. Raises `StepFailed` when they do."""
    try:
        found = cargo.find()
    except CargoMissing as missing:
        say(f"the crate in native/ is not checked: {missing}")
        return
    _restore_lock(found, layout.LOGS / LOG)
    for command in (
        ("test", "--release", "--locked"),
        ("clippy", "--release", "--locked", "--all-targets", "--features", "python", "--", "-D", "warnings"),
    ):
        say(f"native/: cargo {' '.join(command)}")
        # Its output is the point here: it goes to the terminal.
        outcome = subprocess.run(
            [str(found.program), *command], cwd=layout.NATIVE, env=_environment(found), check=False
        )
        if outcome.returncode != 0:
            raise StepFailed(f"cargo {command[0]} in native/ ended with {outcome.returncode}")


if __name__ == "__main__":
    try:
        {"wheel": make_wheel, "check": check}[sys.argv[1]]()
    except StepFailed as failure:
        sys.exit(f"sluice set-up: {failure}")
