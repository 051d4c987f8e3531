"""The users' transactions that are pending: by sender and nonce, each with the state it would read alone, bounded.

A transaction can be followed when all of its sender's from the account's nonce on are here, each with a prestate of the present head.
Pure, and plain data in a snapshot: what is followed must not depend on when a process was restarted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from operators.replacement import outbids
from operators.simulation.packed import BadPackedWitness, nonces_in
from schemas.blocks import BlockOp, BlockRecord
from schemas.pending import PendingRecord
from schemas.topics import topic
from schemas.witness import WitnessRecord

SNAPSHOT_VERSION = 3
_CODEC = topic(PendingRecord.TOPIC).codec
#: Hashes of expired transactions that are remembered, so that one that is announced again does not begin anew.
_EXPIRED_KEPT = 4096
_HASH = 32


@dataclass(frozen=True)
class MempoolLimits:
    """At most so many transactions, and bytes of them with their prestates; blocks after which one is given up; how many of one sender
    are executed in a row; behind how many of other senders, one at a time, one is tried as well."""

    count: int = 2048
    size: int = 8 << 20
    expiry_blocks: int = 50
    sequence: int = 8
    partners: int = 1


class Entry(NamedTuple):
    """A pending transaction. `seen_at`: the head when it was first seen."""

    record: PendingRecord
    seen_at: int

    @property
    def size(self) -> int:
        """What it counts for the bound, in bytes."""
        return len(self.record.raw) + len(self.record.data)


class Prestate(NamedTuple):
    """What a pending transaction would read after the head, packed, and the accounts in that with their nonces. `whole`: it reads no other account."""

    packed: bytes
    reads: Mapping[bytes, int]
    whole: bool

    @property
    def plain(self) -> tuple[bytes, bool]:
        """What a snapshot keeps."""
        return self.packed, self.whole


_NONE = Prestate(b"", {}, True)


class Modelled(NamedTuple):
    """A pending transaction of which is known what it would read after the head."""

    record: PendingRecord
    prestate: Prestate


class Followed(NamedTuple):
    """What came of following a transaction on the present head: the pools it moves, and what is earned behind it alone (wei, 0 for nothing)."""

    moved: tuple[bytes, ...]
    net_wei: int


class Added(NamedTuple):
    """What became of an announced transaction: why it is not here (empty: it is), and the hashes that it took the place of."""

    refusal: str
    replaced: tuple[bytes, ...] = ()


class Mempool:
    """The pending transactions of one chain as the log told them."""

    def __init__(self, limits: MempoolLimits, plain: tuple[Any, ...] | None = None) -> None:
        """`plain` is what an earlier one's `snapshot` gave."""
        self._limits = limits
        version, entries, nonces, expired, followed = plain or (SNAPSHOT_VERSION, (), (), b"", ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"mempool snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        #: By hash, in the order of first sight.
        self._entries: dict[bytes, Entry] = {}
        #: By hash, of the present head.
        self._prestates: dict[bytes, Prestate] = {}
        self._prestates_size = 0
        self._by_sender: dict[bytes, dict[int, bytes]] = {}
        #: The next nonce of accounts that have something pending, as of the head; where the log told it.
        self._nonces: dict[bytes, int] = dict(nonces)
        #: By hash, in the order in which they were followed.
        self._followed = {tx_hash: Followed(*each) for tx_hash, *each in followed}
        self._expired = {expired[at : at + _HASH]: None for at in range(0, len(expired), _HASH)}
        #: Records on the wire, by hash, of those that were in a snapshot: the next one need not write them again.
        self._encoded: dict[bytes, bytes] = {}
        self._size = 0
        for encoded, seen_at, *prestate in entries:
            record = _CODEC.decode(encoded)
            self._put(Entry(record, seen_at), _prestate(*prestate))
            self._encoded[record.hash] = encoded

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._entries

    @property
    def size(self) -> int:
        """Bytes held, of transactions and prestates."""
        return self._size + self._prestates_size

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        entries = tuple(
            [
                (self._on_the_wire(entry.record), entry.seen_at, *self._prestates.get(tx_hash, _NONE).plain)
                for tx_hash, entry in self._entries.items()
            ]
        )
        followed = tuple([(tx_hash, *each) for tx_hash, each in self._followed.items()])
        return (SNAPSHOT_VERSION, entries, tuple(self._nonces.items()), b"".join(self._expired), followed)

    # ---------------------------------------------------------------- what comes

    def add(self, record: PendingRecord, witness: WitnessRecord | None, head: BlockRecord) -> Added:
        """Take an announced transaction, or the newer prestate of one that is here.

        Refusals: `pending_expired` (announced again after it was given up), `nonce_used` (the account is past it), `pending_underpriced`
        (another one of the same nonce is here that it does not outbid).
        """
        if record.hash in self._expired:
            return Added("pending_expired")
        current = witness is not None and witness.block_hash == head.hash
        prestate = _prestate(witness.packed, witness.whole) if witness is not None and current else _NONE
        told = prestate.reads.get(record.sender)
        if told is not None:
            self._overtaken(record.sender, told)
            if record.nonce < told:
                return Added("nonce_used")
        known = self._entries.get(record.hash)
        replaced: tuple[bytes, ...] = ()
        rival = self._by_sender.get(record.sender, {}).get(record.nonce, record.hash)
        if rival != record.hash:
            if not outbids(record, self._entries[rival].record):
                return Added("pending_underpriced")
            self._drop(rival)
            replaced = (rival,)
        if known is not None:
            self._size -= known.size
            self._encoded.pop(record.hash, None)
            self._forget_prestate(record.hash)
        self._put(Entry(record, head.number if known is None else known.seen_at), prestate)
        if told is not None:
            self._nonces[record.sender] = told
        self._evict(record.hash)
        return Added("", replaced)

    def move(self, block: BlockRecord) -> None:
        """The head moves: prestates are of another head now. What a block holds is no longer pending, nor what it overtook or what is too old."""
        self._followed.clear()
        self._prestates.clear()
        self._prestates_size = 0
        if block.op is BlockOp.REVERT:
            # What accounts sent in it they may send again; their nonces are told anew with the next prestates.
            self._nonces.clear()
            return
        for tx_hash in block.tx_hashes:
            mined = self._entries.get(tx_hash)
            if mined is not None:
                self._overtaken(mined.record.sender, mined.record.nonce + 1)
        for tx_hash in [h for h, e in self._entries.items() if e.seen_at + self._limits.expiry_blocks <= block.number]:
            self._drop(tx_hash)
            self._expired[tx_hash] = None
        for tx_hash in list(self._expired)[: max(0, len(self._expired) - _EXPIRED_KEPT)]:
            del self._expired[tx_hash]

    # ---------------------------------------------------------------- what can be followed

    def sequence(self, tx_hash: bytes) -> tuple[tuple[Modelled, ...], str]:
        """A transaction behind all of its sender's that must come before it, and why it cannot be followed (empty: it can).

        Refusals: `no_witness` (the node could not trace it, or the log does not have it of this head), `predecessor_unknown`,
        `predecessor_unmodelled` (no prestate of the present head), `sequence_too_long`.
        """
        last, prestates = self._entries[tx_hash].record, self._prestates
        if tx_hash not in prestates:
            return (), "no_witness"
        sender, nonce = last.sender, last.nonce
        first = self._nonces.get(sender, nonce)
        if nonce - first >= self._limits.sequence:
            return (), "sequence_too_long"
        mine = self._by_sender[sender]
        hashes = [mine.get(each) for each in range(first, nonce)]
        before = [one for one in hashes if one is not None]
        if len(before) < len(hashes):
            return (), "predecessor_unknown"
        if not all(one in prestates for one in before):
            return (), "predecessor_unmodelled"
        return tuple([Modelled(self._entries[one].record, prestates[one]) for one in (*before, tx_hash)]), ""

    def successors(self, tx_hash: bytes) -> Iterator[bytes]:
        """The same sender's transactions of the nonces right after this one's, as long as each is here with a prestate of the present head
        and the sequence is not too long."""
        record = self._entries[tx_hash].record
        mine, nonce = self._by_sender[record.sender], record.nonce + 1
        first = self._nonces.get(record.sender, record.nonce)
        while nonce - first < self._limits.sequence:
            following = mine.get(nonce)
            if following not in self._prestates:
                return
            yield following
            nonce += 1

    def followed(self, tx_hash: bytes, found: Followed) -> None:
        """Remember what came of following a transaction, until the head moves; of most nothing came."""
        self._followed.pop(tx_hash, None)
        if found.moved:
            self._followed[tx_hash] = found

    def partners(self, tx_hash: bytes) -> Iterator[tuple[bytes, Followed]]:
        """Other senders' transactions that move pools, as followed on the present head, the latest first."""
        sender = self._entries[tx_hash].record.sender
        for other, found in reversed(self._followed.items()):
            if self._entries[other].record.sender != sender:
                yield other, found

    # ---------------------------------------------------------------- bounds

    def _evict(self, newest: bytes) -> None:
        """Down to seven eighths of what is allowed when there is more, so that a full book is put in order once for many that come.

        First goes what has most missing before it (nonces of its sender that are neither used nor here), then what offers the lowest fee,
        then what was seen first. The `newest` is as any other, but what is over the bound alone stays alone.
        """
        limits = self._limits
        if len(self._entries) <= limits.count and self.size <= limits.size:
            return
        count, size = limits.count - limits.count // 8, limits.size - limits.size // 8
        gaps = self._gaps()
        order = sorted(self._entries, key=lambda h: (-gaps[h], self._entries[h].record.max_fee))
        for tx_hash in order:
            if (len(self._entries) <= count and self.size <= size) or len(self._entries) == 1:
                return
            self._drop(tx_hash)

    def _gaps(self) -> dict[bytes, int]:
        """How many nonces are missing before each transaction."""
        gaps: dict[bytes, int] = {}
        for sender, mine in self._by_sender.items():
            nonces = sorted(mine)
            first = min(self._nonces.get(sender, nonces[0]), nonces[0])
            for place, nonce in enumerate(nonces):
                gaps[mine[nonce]] = nonce - first - place
        return gaps

    def _overtaken(self, sender: bytes, nonce: int) -> None:
        """The account's next nonce: what is below it can never be mined any more."""
        mine = self._by_sender.get(sender, {})
        for used in sorted(each for each in mine if each < nonce):
            self._drop(mine[used])
        if sender in self._by_sender:
            self._nonces[sender] = nonce

    def _put(self, entry: Entry, prestate: Prestate) -> None:
        self._entries[entry.record.hash] = entry
        self._by_sender.setdefault(entry.record.sender, {})[entry.record.nonce] = entry.record.hash
        self._size += entry.size
        if prestate.packed:
            self._prestates[entry.record.hash] = prestate
            self._prestates_size += len(prestate.packed)

    def _forget_prestate(self, tx_hash: bytes) -> None:
        self._prestates_size -= len(self._prestates.pop(tx_hash, _NONE).packed)

    def _on_the_wire(self, record: PendingRecord) -> bytes:
        encoded = self._encoded.get(record.hash)
        if encoded is None:
            encoded = self._encoded[record.hash] = _CODEC.encode(record)
        return encoded

    def _drop(self, tx_hash: bytes) -> None:
        entry = self._entries.pop(tx_hash)
        self._encoded.pop(tx_hash, None)
        self._forget_prestate(tx_hash)
        self._followed.pop(tx_hash, None)
        self._size -= entry.size
        mine = self._by_sender[entry.record.sender]
        del mine[entry.record.nonce]
        if not mine:
            del self._by_sender[entry.record.sender]
            self._nonces.pop(entry.record.sender, None)


def _prestate(packed: bytes, whole: bool) -> Prestate:
    try:
        return Prestate(packed, nonces_in(packed), whole) if packed else _NONE
    except BadPackedWitness:
        return Prestate(packed, {}, whole)  # the engine says so when it is asked
