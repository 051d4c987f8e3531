"""`python -m infra.devnet run` is the devnet as a process of its own; `builder` is only the dev builder, at a node that is there."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from infra.devnet.block_clock import BlockClock
from infra.devnet.builder import BLOCK_SECONDS, Builder, BuiltBlock
from infra.devnet.builder_server import BuilderServer
from infra.devnet.devnet import Devnet
from infra.devnet.node import Node

app = typer.Typer(help="A local chain with real contracts, traffic and a dev builder.", no_args_is_help=True)


def _until_stopped(clock: BlockClock, blocks: int | None, done: threading.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with clock:
        while not done.wait(0.1):
            if clock.error is not None or (blocks is not None and clock.built >= blocks):
                break


@app.command()
def run(
    folder: Annotated[Path, typer.Option(help="Logs, and devnet.json: addresses of everything.")],
    seed: Annotated[int, typer.Option(help="Market, users and traffic.")] = 1,
    interval: Annotated[float, typer.Option(help="Seconds between two blocks.")] = 1.0,
    blocks: Annotated[int | None, typer.Option(help="Stop after so many blocks.")] = None,
    builder_port: Annotated[int, typer.Option(help="Port of the builder; 0 takes a free one.")] = 0,
    v3: Annotated[bool, typer.Option(help="Uniswap V3 pools as well.")] = False,
) -> None:
    """Node, market, users and builder. Prints one JSON object when ready."""
    with Devnet(folder, seed=seed, builder_port=builder_port, with_v3=v3) as devnet:
        description = json.dumps(devnet.describe())
        (folder / "devnet.json").write_text(description)
        print(description, flush=True)
        _until_stopped(devnet.clock(interval), blocks, threading.Event())


@app.command()
def builder(
    node: Annotated[str, typer.Option(help="HTTP address of an anvil run with --no-mining --order fifo.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    interval: Annotated[float, typer.Option(help="Seconds between two blocks.")] = 1.0,
    block_seconds: Annotated[int, typer.Option(help="Seconds between two block times.")] = BLOCK_SECONDS,
    blocks: Annotated[int | None, typer.Option(help="Stop after so many blocks.")] = None,
) -> None:
    """The dev builder at a node that is there. Prints its address, then a line for each block to stderr."""

    def tell(block: BuiltBlock) -> None:
        included = sum(outcome.included for outcome in block.outcomes)
        print(
            f"block {block.number}: {len(block.transactions)} txs, {included} of {len(block.outcomes)} bundles",
            file=sys.stderr,
        )

    with Node(node) as client:
        made = Builder(client, block_seconds=block_seconds)
        with BuilderServer(made, port) as server:
            print(json.dumps({"builder_url": server.url}), flush=True)
            _until_stopped(BlockClock(made, None, interval, tell), blocks, threading.Event())


if __name__ == "__main__":
    app()
