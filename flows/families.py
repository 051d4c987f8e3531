"""The pool families that a configuration names: known, and given what they need.

The file's own checks (`schemas.config`) know no families, so that adding one is no change of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator

from operators.pools import FAMILIES
from schemas.config import Config, ConfigError


def check_families(config: Config) -> None:
    """Raises `ConfigError` with one line per key whose value no pool family has, or that a family needs and does not get."""
    if problems := list(_problems(config)):
        raise ConfigError("pool families:\n" + "\n".join(f"  {problem}" for problem in problems))


def _problems(config: Config) -> Iterator[str]:
    for number, factory in enumerate(config.ingest.factories):
        key = f"ingest.factories.{number}"
        family = FAMILIES.get(factory.family)
        if family is None:
            yield _unknown(f"{key}.family", factory.family)
        elif family.CREATE2 and factory.init_code_hash is None:
            yield f"{key}.init_code_hash: a factory of {factory.family} needs it: addresses of its pools are checked with it"
    for number, pool in enumerate(config.ingest.pools):
        if pool.family is not None and pool.family not in FAMILIES:
            yield _unknown(f"ingest.pools.{number}.family", pool.family)
    for name in config.search.gas_corrections:
        if name not in FAMILIES:
            yield _unknown(f"search.gas_corrections.{name}", name)


def _unknown(key: str, name: str) -> str:
    return f"{key}: no pool family is called {name!r}; there are {', '.join(sorted(FAMILIES))}"
