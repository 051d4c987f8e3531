"""The set-up's steps, in order. Each names what it makes, the locks it follows, and how it is done."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.toolchain import layout, paths
from infra.toolchain.progress import StepFailed, run_logged, say

NETWORK = (
    "If this is the network: check the connection, the proxy and the certificates (PIP_CERT, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS), "
    "then run the same command again; it goes on where it stopped."
)


@dataclass(frozen=True)
class Step:
    """One piece of the set-up. Done again when its key changes or its product is missing."""

    name: str
    doing: str
    key: Callable[[], str]
    product: Path
    work: Callable[[], None]


def tool_environment() -> dict[str, str]:
    """The environment for installers: ours, with every cache under the project's folder and no user packages mixed in."""
    environment = dict(os.environ)
    environment.update(
        PIP_CACHE_DIR=str(layout.CACHE / "pip"),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        npm_config_cache=str(layout.CACHE / "npm"),
        npm_config_update_notifier="false",
        PYTHONNOUSERSITE="1",
        PYTHONPATH=str(layout.ROOT),
    )
    return environment


# -------------------------------------------------------------------- python


def _base_python() -> str:
    """The interpreter outside any virtual environment: the set-up may be called from inside the one it is about to make."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _venv_key() -> str:
    # A virtual environment knows its own place and interpreter; a moved folder or another Python needs a new one.
    return layout.digest(platform.python_version(), os.path.realpath(sys.base_prefix), str(layout.VENV))


def _make_venv() -> None:
    run_logged(
        [_base_python(), "-m", "venv", "--clear", str(layout.VENV)],
        layout.LOGS / "setup-venv.log",
        tool_environment(),
        layout.ROOT,
        "If ensurepip is missing: install your system's package for venv (Debian and Ubuntu: python3-venv), then run again.",
    )


def _packages_key() -> str:
    return layout.digest(layout.PYTHON_LOCK, _venv_key())


def _install_packages() -> None:
    run_logged(
        [
            str(layout.venv_python()),
            *(
                "-m",
                "pip",
                "install",
                "--require-hashes",
                "--no-deps",
                "--prefer-binary",
                "-r",
                str(layout.PYTHON_LOCK),
            ),
        ],
        layout.LOGS / "setup-packages.log",
        tool_environment(),
        layout.ROOT,
        NETWORK,
    )


def _link_key() -> str:
    return layout.digest(_packages_key(), LAUNCHER)


# Through the shell: a first line that names the interpreter itself breaks on a folder with a space or a very long name. -P keeps the
# folder the user happens to be in out of the module search.
LAUNCHER = """#!/bin/sh
exec "{python}" -P -c 'import sys; sys.argv[0] = "sluice"; from flows.cli.main import app; sys.exit(app())' "$@"
"""


def _link_project() -> None:
    """Make the project importable, and `sluice` a command, without building anything: a path file and a launcher."""
    site = layout.site_packages()
    if site is None:
        raise StepFailed(f"{layout.VENV} has no site-packages; delete it and run again")
    (site / "sluice.pth").write_text(f"{layout.ROOT}\n", encoding="utf-8")
    launcher = layout.VENV / "bin" / "sluice"
    _write_program(launcher, LAUNCHER.format(python=layout.venv_python()))


# -------------------------------------------------------------------- node


def _npm_key() -> str:
    return layout.digest(layout.NPM_MANIFEST, layout.NPM_LOCK, platform.machine())


def _install_npm() -> None:
    draft = fresh(layout.NPM.with_name("npm.draft"))
    for source in (layout.NPM_MANIFEST, layout.NPM_LOCK):
        shutil.copy(source, draft)
    environment = tool_environment()
    environment["PATH"] = f"{paths.node().parent}:{environment.get('PATH', os.defpath)}"
    # No install scripts: every binary we use comes as a package of its own, checked by the lock's integrity hashes.
    command = [str(paths.node()), str(paths.npm_cli()), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run_logged(command, layout.LOGS / "setup-npm.log", environment, draft, NETWORK)
    replace(draft, layout.NPM)


def _tools_key() -> str:
    return layout.digest(_npm_key(), _venv_key(), layout.TOOLCHAIN / "solc_wrapper.cjs", str(layout.ROOT), SOLC)


SOLC = """#!/bin/sh
exec "{node}" "{wrapper}" "{solc}" "$@"
"""


def _write_tools() -> None:
    """Short names for the tools: a `solc` that forge can call, and links to the binaries."""
    layout.BIN.mkdir(parents=True, exist_ok=True)
    wrapper = layout.TOOLCHAIN / "solc_wrapper.cjs"
    _write_program(layout.BIN / "solc", SOLC.format(node=paths.node(), wrapper=wrapper, solc=paths.solc_js()))
    for name, find in (("anvil", paths.anvil), ("forge", paths.forge), ("node", paths.node), ("java", paths.java)):
        try:
            _link(layout.BIN / name, find())
        except paths.ToolMissing:
            say(
                f"    note: there is no {name} for this machine ({platform.machine()}) in the lock; what needs it will say so"
            )


# -------------------------------------------------------------------- kafka


def _jars_key() -> str:
    return layout.digest(layout.JAR_LOCK)


def _install_jars() -> None:
    draft = layout.JARS.with_name("jars.draft")
    shutil.rmtree(draft, ignore_errors=True)
    command = [str(layout.venv_python()), "-m", "infra.toolchain.fetch_jars", str(draft)]
    run_logged(command, layout.LOGS / "setup-jars.log", tool_environment(), layout.ROOT, NETWORK)
    replace(draft, layout.JARS)


def _search_key() -> str:
    sources = sorted((layout.ROOT / "operators" / "search").glob("*.py"))
    return layout.digest(_packages_key(), *sources)


def _compile_search() -> None:
    """So that no flow has to: the compiler keeps its work in the cache folder (see `infra.runtime.compiled_code`)."""
    run_logged(
        [str(layout.venv_python()), "-P", "-c", "import flows; from operators.search.tables import warm_up; warm_up()"],
        layout.LOGS / "setup-search.log",
        tool_environment(),
        layout.ROOT,
        "Then run the same command again; a flow compiles what is missing when it starts.",
    )


# -------------------------------------------------------------------- files


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def replace(draft: Path, final: Path) -> None:
    """Put a finished folder in its place; at no time is a half-made one there."""
    shutil.rmtree(final, ignore_errors=True)
    os.replace(draft, final)


def _write_program(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o755)
    os.replace(draft, path)


def _link(link: Path, target: Path) -> None:
    draft = link.with_name(f".{link.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    os.replace(draft, link)


STEPS = (
    Step("venv", "a virtual environment", _venv_key, layout.VENV / "bin" / "python", _make_venv),
    Step(
        "packages",
        "Python packages, with Java and Node among them (300 MB, about a minute)",
        _packages_key,
        layout.VENV,
        _install_packages,
    ),
    Step("link", "the `sluice` command", _link_key, layout.VENV / "bin" / "sluice", _link_project),
    Step(
        "npm",
        "anvil, forge, solc and the Uniswap contracts from npm",
        _npm_key,
        layout.NPM / "node_modules",
        _install_npm,
    ),
    Step("tools", "short names for the tools", _tools_key, layout.BIN / "solc", _write_tools),
    Step("jars", "Apache Kafka's jars (44 MB)", _jars_key, layout.JARS, _install_jars),
    Step("search", "the search, compiled (about ten seconds)", _search_key, layout.CACHE / "numba", _compile_search),
)
