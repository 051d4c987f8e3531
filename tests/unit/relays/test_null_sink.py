"""A replay reaches no relay: not by rule but because there is nothing to reach one with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main

from infra.relays.null_sink import ShadowSink
from schemas.decisions import GOLDEN, DecisionRecord


def test_takes_decisions_in_order() -> None:
    kept: list[DecisionRecord] = []
    decisions = [GOLDEN] * 3
    flow = Dataflow("replay")
    op.output(
        "out", op.key_on("key", op.input("in", flow, TestingSource(decisions)), lambda _: "1"), ShadowSink(kept.append)
    )
    run_main(flow)
    assert kept == decisions


def test_has_no_client_no_key_and_no_network() -> None:
    code = (
        "import sys, infra.relays.null_sink\n"
        "bad = {'httpx', 'socket', 'ssl', 'asyncio', 'coincurve', 'infra.relays.relay_client', 'infra.relays.signing'}\n"
        "import bytewax.outputs, schemas.decisions\n"
        "print(sorted(m for m in sys.modules if m in bad and m.startswith(('httpx', 'coincurve', 'infra'))))"
    )
    root = Path(__file__).parents[3]
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert printed.stdout.strip() == "[]"
