"""Anchor tokens: those that a route may start and end in, because profit in them is kept or easily exchanged."""

from __future__ import annotations

from schemas.config import Config

#: What is held on each chain besides the wrapped native token, most liquid first: facts of the chains.
KNOWN: dict[int, tuple[bytes, ...]] = {
    1: (
        bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),  # USDC
        bytes.fromhex("dac17f958d2ee523a2206206994597c13d831ec7"),  # USDT
        bytes.fromhex("6b175474e89094c44da98b954eedeac495271d0f"),  # DAI
        bytes.fromhex("2260fac5e5542a773aa44fbcfedf7c193bc2c599"),  # WBTC
    ),
    59144: (
        bytes.fromhex("176211869ca2b568f2a7d4ee941e073a821ee1ff"),  # USDC
        bytes.fromhex("a219439258ca9da29e9cc4ce5596924745e12b93"),  # USDT
    ),
}


def anchors_of(config: Config) -> tuple[bytes, ...]:
    """The configured anchors, the wrapped native token first: `search.anchors` if given, else the known ones of the chain."""
    native = config.chain.anchor
    others = KNOWN.get(config.chain.id, ()) if config.search.anchors is None else config.search.anchors
    return (native, *dict.fromkeys(token for token in others if token != native))
