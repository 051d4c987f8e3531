"""The devnet's market: two Uniswap V2 deployments over the same tokens, so that pools run parallel and prices can part."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from infra.devnet.contracts import call_data, create_address, creation_code, pair_address, pair_init_code_hash
from infra.devnet.node import Node, data, quantity, to_hex
from infra.devnet.signer import Signer

ETHER = 10**18
BLOCK_SECONDS = 12
USERS = 24
MAX_UINT = 2**256 - 1

# OpenZeppelin 3.4 keeps an ERC-20's decimals here; the preset cannot set them, and real markets do not have 18 everywhere.
_DECIMALS_SLOT = 5

# Symbol, name, decimals, price in 1e-6 ether per whole token.
TOKEN_LIST = (
    ("USDA", "Dollar A", 6, 400),
    ("USDB", "Dollar B", 6, 400),
    ("DAIC", "Dollar C", 18, 400),
    ("BTCW", "Wrapped Coin", 8, 25_000_000),
    ("LNKA", "Chain Link A", 18, 6_000),
    ("UNIA", "Unicorn", 18, 3_500),
    ("AAVA", "Ghost", 18, 60_000),
    ("MKRA", "Maker A", 18, 800_000),
    ("CRVA", "Curve A", 18, 250),
    ("PEPA", "Frog", 18, 5),
    ("SNXA", "Synth", 18, 1_200),
    ("GUSA", "Dollar D", 2, 400),
)
# Token-token pools, by index into TOKEN_LIST; the second list is of the fork.
_CROSS = ((0, 1), (0, 2), (1, 2), (3, 0), (4, 5), (6, 0), (7, 2))
_CROSS_FORK = ((0, 1), (3, 0), (6, 0))
_WETH_FORK = (0, 1, 2, 3, 4, 5, 6, 8, 9)


class MarketError(RuntimeError):
    """A contract of the devnet could not be deployed or did not answer as the real one must."""


@dataclass(frozen=True)
class Token:
    """An ERC-20 of the market."""

    address: bytes
    symbol: str
    name: str
    decimals: int


@dataclass(frozen=True)
class Factory:
    """One Uniswap V2 deployment."""

    name: str
    address: bytes
    router: bytes
    init_code_hash: bytes


@dataclass(frozen=True)
class Pair:
    """One pool; `token0 < token1` as bytes. The reserves are those it was seeded with, in base units."""

    address: bytes
    factory: bytes
    token0: bytes
    token1: bytes
    reserve0: int
    reserve1: int


@dataclass(frozen=True)
class Market:
    """Everything deployed. `start_block` is the block before the first deployment."""

    chain_id: int
    seed: int
    start_block: int
    weth: bytes
    factories: tuple[Factory, ...]
    tokens: tuple[Token, ...]
    pairs: tuple[Pair, ...]
    users: int

    def signers(self) -> list[Signer]:
        """The users that trade; they hold every token and have approved the routers."""
        return [Signer.of_seed(self.seed, "user", index) for index in range(self.users)]

    def router_of(self, pair: Pair) -> bytes:
        """The router that trades in this pool."""
        return next(factory.router for factory in self.factories if factory.address == pair.factory)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, addresses in hex: to be handed to another process."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Market:
        """The inverse of `to_json`."""
        return cls(
            chain_id=plain["chain_id"],
            seed=plain["seed"],
            start_block=plain["start_block"],
            weth=data(plain["weth"]),
            factories=tuple(
                Factory(f["name"], data(f["address"]), data(f["router"]), data(f["init_code_hash"]))
                for f in plain["factories"]
            ),
            tokens=tuple(Token(data(t["address"]), t["symbol"], t["name"], t["decimals"]) for t in plain["tokens"]),
            pairs=tuple(
                Pair(
                    data(p["address"]),
                    data(p["factory"]),
                    data(p["token0"]),
                    data(p["token1"]),
                    p["reserve0"],
                    p["reserve1"],
                )
                for p in plain["pairs"]
            ),
            users=plain["users"],
        )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def mine(node: Node, seconds: int = BLOCK_SECONDS) -> None:
    """Mine what is in the pool into one block, `seconds` after its parent: the chain's clock is its own, not the wall's."""
    head = node.call("eth_getBlockByNumber", "latest", False)
    node.call("evm_setNextBlockTimestamp", quantity(head["timestamp"]) + seconds)
    node.call("evm_mine")


@dataclass(frozen=True)
class SetupTransaction:
    """A signed transaction of the set-up with its gas limit."""

    raw: bytes
    gas: int


class Sender:
    """Signs one account's transactions in nonce order."""

    def __init__(self, node: Node, signer: Signer, chain_id: int) -> None:
        """Start from the account's current nonce."""
        self._signer = signer
        self._chain_id = chain_id
        self.nonce = quantity(node.call("eth_getTransactionCount", to_hex(signer.address), "latest"))

    def sign(self, to: bytes | None, payload: bytes, *, value: int = 0, gas: int = 300_000) -> SetupTransaction:
        """The account's next transaction."""
        # Set-up fills blocks, so the base fee climbs; nobody minds what the deployer pays.
        raw = self._signer.sign(
            chain_id=self._chain_id,
            nonce=self.nonce,
            to=to,
            gas=gas,
            value=value,
            payload=payload,
            max_fee=2_000 * 10**9,
            max_priority_fee=10**9,
        )
        self.nonce += 1
        return SetupTransaction(raw, gas)

    def deploy(self, code: bytes, gas: int) -> tuple[bytes, SetupTransaction]:
        """The creation of a contract: its address, and the transaction."""
        address = create_address(self._signer.address, self.nonce)
        return address, self.sign(None, code, gas=gas)


def confirm(node: Node, transactions: Sequence[SetupTransaction]) -> None:
    """Send and mine all of these in order, in as many blocks as they need; raises MarketError for one that failed.

    A block is never offered more gas than it holds: anvil skips what does not fit and then throws the sender's later
    transactions away, as their nonces do not follow any more.
    """
    limit = quantity(node.call("eth_getBlockByNumber", "latest", False)["gasLimit"])
    waiting = list(transactions)
    while waiting:
        sent: list[str] = []
        gas = 0
        while waiting and gas + waiting[0].gas <= limit:
            transaction = waiting.pop(0)
            gas += transaction.gas
            sent.append(node.call("eth_sendRawTransaction", to_hex(transaction.raw)))
        mine(node)
        receipts = node.all([("eth_getTransactionReceipt", [hash_]) for hash_ in sent])
        for hash_, receipt in zip(sent, receipts, strict=True):
            if receipt is None or receipt["status"] != "0x1":
                raise MarketError(
                    f"transaction {hash_} of the devnet's set-up {'reverted' if receipt else 'was not mined'}"
                )


def deploy_market(node: Node, seed: int = 1, users: int = USERS) -> Market:
    """Deploy and seed the market; the same seed gives the same addresses and reserves. Blocks are mined as needed.

    Raises MarketError when a contract does not behave as the canonical one.
    """
    chain_id = quantity(node.call("eth_chainId"))
    start_block = quantity(node.call("eth_blockNumber"))
    deployer = Signer.of_seed(seed, "deployer")
    node.call("anvil_setBalance", to_hex(deployer.address), hex(1_000_000 * ETHER))
    sender = Sender(node, deployer, chain_id)

    weth, *sent = sender.deploy(creation_code("WETH9"), 2_000_000)
    factories = []
    for name in ("uniswap_v2", "fork_v2"):
        address, deployed = sender.deploy(
            creation_code("UniswapV2Factory", ("address",), (deployer.address,)), 4_000_000
        )
        router, routed = sender.deploy(
            creation_code("UniswapV2Router02", ("address", "address"), (address, weth)), 6_000_000
        )
        factories.append(Factory(name, address, router, pair_init_code_hash()))
        sent += [deployed, routed]
    tokens = []
    for symbol, name, decimals, _ in TOKEN_LIST:
        arguments = (name, symbol, 10**12 * 10**decimals, deployer.address)
        address, deployed = sender.deploy(
            creation_code("ERC20", ("string", "string", "uint256", "address"), arguments), 2_500_000
        )
        tokens.append(Token(address, symbol, name, decimals))
        sent.append(deployed)
    confirm(node, sent)
    for token in tokens:
        node.call("anvil_setStorageAt", to_hex(token.address), f"0x{_DECIMALS_SLOT:064x}", f"0x{token.decimals:064x}")

    pairs = _seed_pairs(node, sender, deployer, seed, weth, factories, tokens)
    market = Market(chain_id, seed, start_block, weth, tuple(factories), tuple(tokens), tuple(pairs), users)
    _fund_users(node, sender, market)
    check_market(node, market)
    return market


def _planned_pools(
    seed: int, weth: bytes, factories: Sequence[Factory], tokens: Sequence[Token]
) -> Iterator[tuple[bytes, bytes, int, bytes, int]]:
    """(factory, token, amount, other token, amount) of each pool, in base units."""
    rng = random.Random(f"pools {seed}")

    def worth(index: int, micro_ether: int) -> int:
        _, _, decimals, price = TOKEN_LIST[index]
        # Parallel pools start within two tenths of a per cent of each other: less than two fees apart, nothing to take yet.
        amount: int = micro_ether * 10**decimals * rng.randint(9_990, 10_010) // (price * 10_000)
        return amount

    first, fork = factories
    for factory, indices in ((first, range(len(tokens))), (fork, _WETH_FORK)):
        for index in indices:
            ether = rng.randint(80, 400)
            yield factory.address, weth, ether * ETHER, tokens[index].address, worth(index, ether * 10**6)
    for factory, couples in ((first, _CROSS), (fork, _CROSS_FORK)):
        for a, b in couples:
            ether = rng.randint(60, 200)
            yield (
                factory.address,
                tokens[a].address,
                worth(a, ether * 10**6),
                tokens[b].address,
                worth(b, ether * 10**6),
            )


def _seed_pairs(
    node: Node,
    sender: Sender,
    deployer: Signer,
    seed: int,
    weth: bytes,
    factories: Sequence[Factory],
    tokens: Sequence[Token],
) -> list[Pair]:
    plan = list(_planned_pools(seed, weth, factories, tokens))
    sent = [
        sender.sign(weth, call_data("deposit()"), value=sum(amount for _, token, amount, _, _ in plan if token == weth))
    ]
    pairs = []
    for factory, token_a, amount_a, token_b, amount_b in plan:
        address = pair_address(factory, token_a, token_b)
        sent.append(sender.sign(factory, call_data("createPair(address,address)", token_a, token_b), gas=3_000_000))
        for token, amount in ((token_a, amount_a), (token_b, amount_b)):
            sent.append(sender.sign(token, call_data("transfer(address,uint256)", address, amount)))
        sent.append(sender.sign(address, call_data("mint(address)", deployer.address)))
        (token0, reserve0), (token1, reserve1) = sorted(((token_a, amount_a), (token_b, amount_b)))
        pairs.append(Pair(address, factory, token0, token1, reserve0, reserve1))
    confirm(node, sent)
    return pairs


def _fund_users(node: Node, sender: Sender, market: Market) -> None:
    sent = []
    for user in market.signers():
        node.call("anvil_setBalance", to_hex(user.address), hex(20_000 * ETHER))
        own = Sender(node, user, market.chain_id)
        for token, (_, _, decimals, price) in zip(market.tokens, TOKEN_LIST, strict=True):
            # Worth 500 ether of each token: enough to sell into every pool for a thousand blocks.
            amount = 500 * 10**6 * 10**decimals // price
            sent.append(
                sender.sign(token.address, call_data("transfer(address,uint256)", user.address, amount), gas=80_000)
            )
            approvals = [
                call_data("approve(address,uint256)", factory.router, MAX_UINT) for factory in market.factories
            ]
            sent += [own.sign(token.address, approval, gas=60_000) for approval in approvals]
    confirm(node, sent)


def check_market(node: Node, market: Market) -> None:
    """Hold the deployed contracts to what the canonical ones do; raises MarketError.

    The router computes pair addresses from an init code hash compiled into it: were the pair's bytecode another one,
    every swap would go to an empty address.
    """
    for pair in market.pairs:
        told = node.call(
            "eth_call",
            {
                "to": to_hex(pair.factory),
                "data": to_hex(call_data("getPair(address,address)", pair.token0, pair.token1)),
            },
            "latest",
        )
        if data(told)[12:] != pair.address:
            raise MarketError(f"the factory's pair is {told}, its CREATE2 address {to_hex(pair.address)}")
        if reserves(node, [pair]) != [(pair.reserve0, pair.reserve1)]:
            raise MarketError(f"the pair {to_hex(pair.address)} was not seeded as planned")
    for factory in market.factories:
        pair = next(pair for pair in market.pairs if pair.factory == factory.address)
        question = call_data("getAmountsOut(uint256,address[])", 10**6, [pair.token0, pair.token1])
        node.call("eth_call", {"to": to_hex(factory.router), "data": to_hex(question)}, "latest")
    for token in market.tokens:
        answer = node.call("eth_call", {"to": to_hex(token.address), "data": to_hex(call_data("decimals()"))}, "latest")
        if quantity(answer) != token.decimals:
            raise MarketError(f"{token.symbol} tells {quantity(answer)} decimals, not {token.decimals}")


# Uniswap V2 keeps both reserves and the time of the last change in this slot: 112, 112 and 32 bits from the low end.
_RESERVES_SLOT = "0x" + f"{8:064x}"
_UINT112 = 2**112 - 1


def reserves(node: Node, pairs: Sequence[Pair], block: str = "latest") -> list[tuple[int, int]]:
    """The reserves of each pair at a block, in base units."""
    words = node.all([("eth_getStorageAt", [to_hex(pair.address), _RESERVES_SLOT, block]) for pair in pairs])
    return [(quantity(word) & _UINT112, quantity(word) >> 112 & _UINT112) for word in words]
