"""The journal of a search: what was written is there again, whatever ended the writer."""

from __future__ import annotations

from pathlib import Path

from infra.ingest.scan_journal import FoundPool, ScanJournal, Searched

IDENTITY = {"chain": 1, "address": "aa"}
POOL = FoundPool("uniswap_v2", b"\x01" * 20, b"")
SEEDED = FoundPool("uniswap_v4", b"\x02" * 20, b"\x00\xff")
STEPS = [
    Searched(99, b"\x09" * 32, 0, (POOL,)),
    Searched(199, b"\x19" * 32, 0, ()),
    Searched(299, b"\x29" * 32, 7, (SEEDED, POOL)),
]


def written(path: Path) -> Path:
    with ScanJournal(path, IDENTITY) as journal:
        for step in STEPS:
            journal.append(step)
    return path


def test_steps_come_back(tmp_path: Path) -> None:
    path = written(tmp_path / "deep" / "journal.jsonl")
    with ScanJournal(path, IDENTITY) as journal:
        assert journal.steps == STEPS


def test_a_torn_end_costs_one_step(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl")
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        with ScanJournal(path, IDENTITY) as journal:
            # A line without its end of line is whole all the same.
            assert journal.steps == (STEPS if cut == len(whole) - 1 else STEPS[:2])
            journal.append(Searched(400, b"\x40" * 32, 0, ()))
        with ScanJournal(path, IDENTITY) as journal:
            assert journal.steps[-1].last == 400


def test_another_search_begins_anew(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl")
    with ScanJournal(path, IDENTITY | {"from_block": 5}) as journal:
        assert journal.steps == []
        journal.append(STEPS[0])
    with ScanJournal(path, IDENTITY | {"from_block": 5}) as journal:
        assert journal.steps == STEPS[:1]


def test_steps_of_a_branch_that_is_gone_are_forgotten(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl")
    with ScanJournal(path, IDENTITY) as journal:
        journal.keep(1)
        journal.append(STEPS[2])
    with ScanJournal(path, IDENTITY) as journal:
        assert journal.steps == [STEPS[0], STEPS[2]]


def test_a_second_process_reads_but_does_not_write(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.jsonl")
    with ScanJournal(path, IDENTITY) as first, ScanJournal(path, IDENTITY) as second:
        assert second.steps == STEPS
        second.append(Searched(300, b"\x30" * 32, 0, ()))
        first.append(Searched(400, b"\x40" * 32, 0, ()))
    with ScanJournal(path, IDENTITY) as journal:
        assert [step.last for step in journal.steps] == [99, 199, 299, 400]


def test_rubbish_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for content in ("", "nonsense\n", '{"chain": 1, "address": "aa"}\n[1, "zz", 0, []]\n', "[]\n\n"):
        path.write_text(content)
        with ScanJournal(path, IDENTITY) as journal:
            assert journal.steps == []
