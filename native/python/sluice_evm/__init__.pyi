from collections.abc import Container, Iterable, Sequence
from typing import Any, Final, TypeAlias, final

#: The version of this package.
VERSION: Final[str]
#: The release of revm behind every verdict.
REVM_VERSION: Final[str]
#: The names of the forks, oldest first.
FORKS: Final[list[str]]

class InputError(ValueError):
    """Input that is not what it claims to be."""

class WitnessError(InputError):
    """A witness, an account or a code is malformed."""

class BlockError(InputError):
    """A block environment is malformed."""

class TransactionError(InputError):
    """A transaction is malformed."""

class ForkError(InputError):
    """The fork's name is unknown."""

@final
class CodeStore:
    """Codes by their keccak, analysed once."""

    def __new__(cls) -> CodeStore: ...
    def add(self, code: bytes) -> bytes:
        """Make a code known; its hash."""

    def add_checked(self, code_hash: bytes, code: bytes) -> None:
        """Make a code known under the hash it is said to have. Raises `WitnessError` if it has another."""

    def add_known(self, code_hash: bytes, code: bytes) -> None:
        """Make a code known under the hash that the caller has computed himself."""

    def __contains__(self, key: bytes, /) -> bool: ...
    def __len__(self) -> int: ...
    def clear(self) -> None:
        """Forget all codes; witnesses made before keep theirs."""

@final
class Witness:
    """State in layers, the newest on top; immutable, cheap to layer and to share between threads."""

    @staticmethod
    def parse(packed: bytes, codes: CodeStore) -> Witness:
        """Read the packed form; its codes go into the store. Raises `WitnessError`."""

    @staticmethod
    def of_views(
        accounts: dict[bytes, tuple[int, int, bytes, dict[bytes, bytes], bool]] | dict[bytes, Any], codes: CodeStore
    ) -> Witness:
        """A witness of (nonce, balance in wei, code hash, slots, complete) by address.

        Codes are found in the store by hash; an account whose code is not there is refused when the code is needed.
        `complete` says that a slot which is not listed holds zero. Raises `WitnessError`.
        """

    def layered(self, over: Witness) -> Witness:
        """A new witness with `over` on top of this one; nothing is copied."""

    def pack(self, *, codes: bool = True) -> bytes:
        """The packed form of all layers as one, with the codes of its accounts or without."""

    def views(self) -> dict[bytes, tuple[int, int, bytes, dict[bytes, bytes], bool]]:
        """All layers as one, in the form `of_views` takes."""

    def codes(self) -> dict[bytes, bytes]:
        """The known codes of this witness's accounts, by hash."""

    def missing_codes(self) -> list[bytes]:
        """The hashes of codes that accounts of this witness have and that are not known, each once."""

    def slot(self, address: bytes, key: bytes) -> bytes | None:
        """The value of a slot; None where it is unknown."""

    def __contains__(self, key: bytes, /) -> bool: ...

@final
class Block:
    """The block that transactions run in: amounts in wei per gas, the timestamp in unix seconds.

    `prevrandao` counts from Merge on, `difficulty` before it, `excess_blob_gas` from Cancun on. `block_hashes` are what
    BLOCKHASH may ask for. With `parent_hash` (from Prague on) and `beacon_root` (from Cancun on) the protocol's calls of
    EIP-2935 and EIP-4788 are made before the first transaction.
    """

    def __new__(
        cls,
        *,
        fork: str,
        chain_id: int,
        number: int,
        timestamp: int,
        coinbase: bytes,
        base_fee: int,
        gas_limit: int,
        prevrandao: bytes | None = None,
        difficulty: int | bytes | None = None,
        excess_blob_gas: int | None = None,
        blob_fraction: int | None = None,
        block_hashes: dict[int, bytes] | None = None,
        parent_hash: bytes | None = None,
        beacon_root: bytes | None = None,
    ) -> Block:
        """Raises `ForkError`, `BlockError`."""

@final
class Transaction:
    """A transaction with its sender; fees in wei per gas (for types 0 and 1 both are the gas price).

    `to` is empty or None for a creation. `access_list` holds (address, keys). `authorizations` are those of EIP-7702:
    (chain id, address, nonce, authority or None) with the signer recovered before, or (chain id, address, nonce,
    y parity, r, s). `chain_id` None means the block's.
    """

    def __new__(
        cls,
        *,
        sender: bytes,
        to: bytes | None,
        nonce: int,
        value: int | bytes,
        data: bytes,
        gas_limit: int,
        max_fee: int,
        priority_fee: int,
        tx_type: int,
        chain_id: int | None = None,
        access_list: Iterable[tuple[bytes, Iterable[bytes]]] | None = None,
        blob_hashes: Iterable[bytes] | None = None,
        max_blob_fee: int | None = None,
        authorizations: Iterable[Sequence[Any]] | None = None,
    ) -> Transaction:
        """Raises `TransactionError`."""

@final
class Budget:
    """What one transaction may cost: its gas limit, bytes of EVM memory (256 MiB if not said), wall time (unlimited)."""

    def __new__(
        cls, *, gas: int | None = None, memory: int | None = None, milliseconds: int | None = None
    ) -> Budget: ...

@final
class Verdict:
    """What one transaction came to."""

    @property
    def kind(self) -> str:
        """ "success", "reverted", "halted" or "refused"."""

    @property
    def reason(self) -> str:
        """Empty for successes and reverts; the EVM's reason of a halt; the name of a refusal."""

    @property
    def detail(self) -> str:
        """The reason for people; what is missing, by name."""

    @property
    def gas_used(self) -> int:
        """The receipt's figure, after refunds and the calldata floor; 0 where refused."""

    @property
    def effective_gas_price(self) -> int:
        """Wei per gas; 0 where refused."""

    @property
    def logs(self) -> list[tuple[bytes, tuple[bytes, ...], bytes]]:
        """(address, topics, data) of each log of a success."""

    @property
    def output(self) -> bytes:
        """The returned or reverted data; empty for a creation."""

    @property
    def created(self) -> bytes | None:
        """The address of the contract a creation made."""

    @property
    def slots(self) -> list[tuple[bytes, bytes, bytes, bytes]]:
        """(address, key, value before, value after) of each slot read or written, in order."""

    @property
    def accounts(self) -> list[tuple[bytes, int, int, int, int]]:
        """(address, wei before, after, nonce before, after) of each account in which one of them changed, in order."""

    @property
    def loaded(self) -> list[bytes]:
        """The addresses of all accounts read or written, in order."""

@final
class Execution:
    """The verdicts of transactions that ran in order, and what they changed."""

    @property
    def verdicts(self) -> list[Verdict]: ...
    @property
    def refused(self) -> Verdict | None:
        """Why the block's system calls could not be made, if so; every transaction is refused then."""

    @property
    def changes(self) -> Witness:
        """To be layered over the witness: the changes of the transactions before the first refused one."""

@final
class Prestate:
    """What one execution read, as geth's `prestateTracer` tells it: accounts, whole."""

    def pack(self, sender: bytes, nonce: int) -> tuple[bytes, dict[bytes, bytes]]:
        """The packed witness without codes, in which `sender`, if it is there, has this nonce; and the codes by hash, the empty
        one among them. Raises `WitnessError` for what is no address and no nonce."""

    def accounts(self) -> dict[bytes, tuple[int, int, bytes, dict[bytes, bytes]]]:
        """(nonce, balance in wei, code, slots) by address, ascending; what the node left out is zero."""

@final
class BlockDiffs:
    """What each transaction of a block changed (`prestateTracer` with `diffMode`)."""

    def __len__(self) -> int:
        """The number of transactions."""

    def are_of(self, tx_hashes: tuple[bytes, ...]) -> bool:
        """Whether these are the diffs of these transactions, as far as the node named them."""

    def touched(self) -> list[bytes]:
        """The addresses of all accounts that some transaction changed, or merely touched, ascending."""

    def changes(
        self, kept: dict[bytes, frozenset[bytes] | None]
    ) -> tuple[dict[bytes, tuple[int | None, int | None, bytes | None, dict[bytes, bytes]]], list[bytes]]:
        """What is new after the block in each account of `kept`, of whose slots those named are told (None: all): (nonce, balance in
        wei, code, slots) by address, None for what is not new. And the accounts that were in a `pre` without a `post`."""

    def balances(self, account: bytes) -> list[tuple[int | None, int | None]]:
        """An account's balance in wei for each transaction: before it, where the account is in its `pre`, and after it, where its `post`
        tells one."""

#: Emitter; topics, at most four; data; the place of its transaction in the block; its own place in the block.
ReceiptLog: TypeAlias = tuple[bytes, tuple[bytes, ...], bytes, int, int]

@final
class BlockReceipts:
    """The receipts of a block (`eth_getBlockReceipts`) and their logs, each checked to be in its place."""

    @staticmethod
    def read(body: bytes, block_hash: bytes, gas_used: int, tx_hashes: tuple[bytes, ...]) -> BlockReceipts | None:
        """From the bytes of a JSON-RPC body; None where they are not plainly the receipts of just this block, of these transactions in
        this order, adding up to this gas: this says nothing of what is wrong. Raises `BlockError` for what is no hash and no gas."""

    def __len__(self) -> int:
        """The number of transactions."""

    def columns(self) -> tuple[list[bytes], list[bytes], list[int], list[int], list[int]]:
        """Of all transactions in order: sender; recipient, empty for a creation; status, 1 or 0; gas used; wei per gas, 0 where the node
        does not say."""

    def logs_of(self, emitters: Container[bytes], first_topics: Container[bytes] | None = None) -> list[ReceiptLog]:
        """The logs of these emitters in the block's order; with `first_topics`, those that begin with one of them. Each container is asked
        once about a value."""

    def logs(self, transaction: int) -> list[ReceiptLog]:
        """All logs of the transaction at this place, in order; none where there is no such transaction."""

@final
class TraceReader:
    """Reads what nodes tell of executions, from the bytes of a JSON-RPC body.

    It takes what is plainly well formed. None for anything else says only that: not that it is wrong, nor why.
    Codes that came before are known again by their text; the memory for that is bounded.
    """

    def __new__(cls) -> TraceReader: ...
    def prestate(self, body: bytes) -> Prestate | None:
        """The answer to a single request with `prestateTracer`."""

    def prestates(self, body: bytes, count: int) -> tuple[list[Prestate | None], list[bytes]] | None:
        """The answers to a batch of `count` such requests with the ids from 0 on, each in its place; and the bytes of those that
        are in any way unusual. What is missing in its place need not be among them, and they need not be JSON."""

    @staticmethod
    def block_diffs(body: bytes) -> BlockDiffs | None:
        """The answer to `debug_traceBlockByHash` with `prestateTracer` in `diffMode`."""

def execute(
    witness: Witness, block: Block, txs: list[Transaction], *, absent: bool = False, budget: Budget | None = None
) -> Execution:
    """Run transactions in order, each on the state the one before left, after the block's system calls.

    After a refusal all later transactions are refused as `preceding_refused`. `absent` takes accounts outside the witness
    for not existing.
    """

def execute_each(
    witness: Witness,
    block: Block,
    txs: list[Transaction],
    *,
    threads: int = 1,
    absent: bool = False,
    budget: Budget | None = None,
) -> list[Verdict]:
    """Run each transaction on the witness itself. The result does not depend on the number of threads (at most 256)."""

def execute_cases(
    cases: list[tuple[Witness, Block, Transaction]],
    *,
    threads: int = 1,
    absent: bool = False,
    budget: Budget | None = None,
) -> list[Verdict]:
    """Run each transaction on the witness and in the block that come with it: `execute_each` where they do not share one."""

#: Digest that was signed; r, s and parity (0 or 1) in 65 bytes; chain, None where the signature holds on all; hash; type; nonce; recipient, empty for a
#: creation; wei; gas limit; fees in wei per gas, at most and for the builder, both the gas price in types 0 and 1; data; (address, keys) of the access list.
SignedFields: TypeAlias = tuple[
    bytes,
    bytes,
    int | None,
    bytes,
    int,
    int,
    bytes,
    int,
    int,
    int,
    int,
    bytes,
    tuple[tuple[bytes, tuple[bytes, ...]], ...],
]

def read_signed(raw: bytes) -> SignedFields | None:
    """The fields of a signed transaction of types 0 to 2, and what was signed.

    None where the bytes are not plainly in the protocol's one form, a number is out of range or s in the upper half: this says
    nothing of what is wrong. That the signature is anybody's is not looked at.
    """

def signed_bytes(object: bytes) -> tuple[bytes, bytes] | None:
    """The hash that a transaction object of JSON-RPC says it has, and the signed bytes that its fields make and that have this hash.

    None where they have another one, for types above 2, and where anything is missing or not as nodes write it.
    """
