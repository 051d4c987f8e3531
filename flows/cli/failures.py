"""Errors that are for the user, not for us: told in one sentence, without a trace of the program."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from flows.cli.console import EXIT_FAILED, fail

#: Names of modules and classes: importing them all would make `sluice --help` wait for Kafka's and the engine's libraries.
EXPECTED = {
    ("schemas.config", "ConfigError"),
    ("schemas.codec", "BadRecord"),
    ("infra.kafka.errors", "KafkaLayerError"),
    ("infra.runtime.child", "ChildError"),
    ("infra.runtime.manifest", "ManifestChanged"),
    ("infra.chain.errors", "NodeError"),
    ("infra.relays.signing", "BadKey"),
    ("infra.chain.keccak", "SlowBackend"),
    ("infra.devnet.genesis", "BadBundle"),
    ("infra.devnet.genesis", "UnplayableBlock"),
    ("infra.toolchain.paths", "ToolMissing"),
    ("operators.simulation.engines", "EngineUnavailable"),
    ("operators.graph.journal", "JournalError"),
    ("operators.market.heads", "HeadError"),
    ("flows.cluster", "ProcessDied"),
    ("flows.processes", "FlowDied"),
    ("flows.processes", "Inconsistent"),
    ("flows.world", "WorldError"),
    ("flows.replay", "ReplayError"),
    ("flows.recorded_block", "BlockError"),
    ("infra.devnet.genesis", "BadBundle"),
    ("infra.devnet.genesis", "UnplayableBlock"),
}


def is_expected(error: BaseException) -> bool:
    """Whether the error's message is made for the user."""
    return any((kind.__module__, kind.__name__) in EXPECTED for kind in type(error).__mro__)


class FriendlyGroup(TyperGroup):
    """The root of the command line: an expected error becomes its message and a non-zero exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not is_expected(error):
                raise
            fail(str(error), EXIT_FAILED)
