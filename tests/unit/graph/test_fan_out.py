"""Who is told of an event: every shard with a part in it, the others only of blocks, and all of a process's first event."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

import schemas.blocks
import schemas.control
import schemas.logs
import schemas.pending
import schemas.witness
from operators.graph.codes import CODE_SHARDS, answers_to, codes_by_shard, fan_out_codes
from operators.graph.messages import fan_out, fan_out_parts, shards_with_a_part
from operators.graph.step import _Split
from schemas.control import ControlRecord
from schemas.event import Event, assemble
from schemas.logs import Log
from schemas.record import Sequenced
from schemas.witness import AccountState
from tests.unit.graph.families import all_families, record

SAMPLES = all_families()
places = st.binary(min_size=20, max_size=20)
accounts = st.lists(places.map(lambda a: AccountState(a, 1, None, None, b"")), max_size=4).map(tuple)
codes = st.lists(st.binary(max_size=5), max_size=2).map(tuple)
heads: list[Sequenced] = [
    schemas.blocks.GOLDEN,
    msgspec.structs.replace(schemas.blocks.GOLDEN, op="revert"),
    schemas.pending.GOLDEN,
    schemas.control.GOLDEN,
    *(record(sample.pool) for sample in SAMPLES),
]


def event(
    head: Sequenced, known: tuple[AccountState, ...], new: tuple[bytes, ...], logs: tuple[Log, ...] = ()
) -> Event:
    if isinstance(head, ControlRecord):
        return assemble((head,))
    witness = msgspec.structs.replace(schemas.witness.GOLDEN, accounts=known, codes=new)
    return assemble((head, msgspec.structs.replace(schemas.logs.GOLDEN, logs=logs), witness))


@given(st.sampled_from(heads), accounts, codes, st.sampled_from((1, 4, 16)))
def test_nobody_with_a_part_is_left_out(
    head: Sequenced, known: tuple[AccountState, ...], new: tuple[bytes, ...], shards: int
) -> None:
    happened = event(head, known, new)
    asked = shards_with_a_part(happened, shards)
    messages = [message for _, message in fan_out(happened, shards)]
    assert [message.shard for message in messages] == list(range(shards))
    for message in messages:
        has_part = bool(message.logs or message.pool or message.accounts)
        assert message.shard in asked or not has_part


@given(st.sampled_from(heads), accounts, codes, st.sampled_from((1, 4, 16)), st.booleans())
def test_as_many_answer_as_are_waited_for(
    head: Sequenced, known: tuple[AccountState, ...], new: tuple[bytes, ...], shards: int, first: bool
) -> None:
    happened = event(head, known, new)
    states, of_codes = fan_out_parts(happened, shards, first), list(fan_out_codes(happened, shards, first))
    asked = [message.shard for _, message in states] + [message.shard for _, message in of_codes]
    assert len(set(asked)) == len(asked) == answers_to(happened, shards, first)
    published = () if isinstance(head, ControlRecord) else new
    assert sorted(code for _, message in of_codes for code in message.codes) == sorted(published)
    if first:
        assert asked == list(range(shards + CODE_SHARDS))


def test_what_is_no_state_of_the_chain_is_told_to_nobody_but_for_new_codes() -> None:
    state = AccountState(b"\x01" * 20, 1, None, None, b"")
    pending = event(schemas.pending.GOLDEN, (state,), (b"code",))
    assert not shards_with_a_part(pending, 16)
    assert list(codes_by_shard(pending).values()) == [(b"code",)]
    assert not codes_by_shard(event(schemas.blocks.GOLDEN, (state,), ()))
    assert not shards_with_a_part(event(schemas.control.GOLDEN, (), ()), 16)


def test_the_first_event_of_a_process_is_told_to_all() -> None:
    pending = event(schemas.pending.GOLDEN, (), ())
    split = _Split(lambda event, to_all: fan_out_parts(event, 8, to_all))
    assert [keyed[1].shard for keyed in split(pending)] == list(range(8))
    assert not list(split(pending))
    assert [keyed[1].shard for keyed in split(event(schemas.blocks.GOLDEN, (), ()))] == list(range(8))
