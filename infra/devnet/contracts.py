"""The real contracts of the devnet, as npm carries them compiled: WETH9, Uniswap V2 and V3 (canonical bytecode) and OpenZeppelin's ERC-20."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import rlp
from eth_abi import encode
from eth_hash.auto import keccak

from infra.devnet.node import data
from infra.toolchain import paths

_ARTIFACTS = {
    "UniswapV2Pair": ("@uniswap/v2-core", "build/UniswapV2Pair.json"),
    "UniswapV2Factory": ("@uniswap/v2-core", "build/UniswapV2Factory.json"),
    "UniswapV2Router02": ("@uniswap/v2-periphery", "build/UniswapV2Router02.json"),
    "UniswapV3Pool": ("@uniswap/v3-core", "artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json"),
    "UniswapV3Factory": ("@uniswap/v3-core", "artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json"),
    "SwapRouter": ("@uniswap/v3-periphery", "artifacts/contracts/SwapRouter.sol/SwapRouter.json"),
    "Quoter": ("@uniswap/v3-periphery", "artifacts/contracts/lens/Quoter.sol/Quoter.json"),
    "PositionManager": (
        "@uniswap/v3-periphery",
        "artifacts/contracts/NonfungiblePositionManager.sol/NonfungiblePositionManager.json",
    ),
    "WETH9": ("@uniswap/v2-periphery", "build/WETH9.json"),
    "ERC20": ("@openzeppelin/contracts", "build/contracts/ERC20PresetFixedSupply.json"),
}


@cache
def _artifact(name: str) -> dict[str, Any]:
    package, file = _ARTIFACTS[name]
    artifact: dict[str, Any] = json.loads((paths.npm_package(package) / file).read_text())
    return artifact


def creation_code(name: str, types: tuple[str, ...] = (), values: tuple[Any, ...] = ()) -> bytes:
    """Creation bytecode of a contract followed by its encoded constructor arguments."""
    return data(_artifact(name)["bytecode"]) + encode(types, values)


def abi(name: str) -> list[dict[str, Any]]:
    """The ABI of a contract, as Solidity's compiler wrote it."""
    entries: list[dict[str, Any]] = _artifact(name)["abi"]
    return entries


def call_data(signature: str, *values: Any) -> bytes:
    """Calldata of a function by its canonical signature, for example `transfer(address,uint256)`; structs are tuples."""
    return keccak(signature.encode())[:4] + encode(_types(signature), values)


def _types(signature: str) -> list[str]:
    """The types between the outer parentheses, cut at the commas that are in no inner ones."""
    types, depth = [""], 0
    for letter in signature[signature.index("(") + 1 : -1]:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            types.append("")
        else:
            types[-1] += letter
    return types if types != [""] else []


def pair_init_code_hash() -> bytes:
    """keccak256 of the pair's creation code: what routers and indexers derive pair addresses from."""
    return keccak(creation_code("UniswapV2Pair"))


def pair_address(factory: bytes, token_a: bytes, token_b: bytes) -> bytes:
    """Where a Uniswap V2 factory puts the pair of two tokens (CREATE2, EIP-1014; UniswapV2Library.pairFor)."""
    salt = keccak(b"".join(sorted((token_a, token_b))))
    return keccak(b"\xff" + factory + salt + pair_init_code_hash())[12:]


def v3_pool_init_code_hash() -> bytes:
    """keccak256 of the V3 pool's creation code, from which V3's periphery derives addresses."""
    return keccak(creation_code("UniswapV3Pool"))


def v3_pool_address(factory: bytes, token_a: bytes, token_b: bytes, fee: int) -> bytes:
    """Where a Uniswap V3 factory puts the pool of two tokens and a fee in millionths (CREATE2; PoolAddress.computeAddress)."""
    token0, token1 = sorted((token_a, token_b))
    salt = keccak(encode(("address", "address", "uint24"), (token0, token1, fee)))
    return keccak(b"\xff" + factory + salt + v3_pool_init_code_hash())[12:]


def create_address(sender: bytes, nonce: int) -> bytes:
    """Where a contract created by a transaction lands."""
    return keccak(rlp.encode([sender, nonce]))[12:]
