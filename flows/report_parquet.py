"""Settlements and decisions as Parquet, for whoever asks questions that the report does not answer.

Amounts are decimal strings: they are 256 bits wide, and no Parquet integer or decimal is. Columns that end in `_eth` are the same
amounts divided by 10**18 as floats, for plots only. Hashes and addresses are 0x-hex; what is absent is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from schemas.decisions import DecisionRecord
from schemas.settlements import SettlementRecord

_SETTLEMENT_HASHES = ("decision_id", "block_hash", "bundle_hash", "tx_hash")
_SETTLEMENT_COUNTS = ("chain", "seq", "revision", "settled_at", "target_block", "block_number")
_SETTLEMENT_WORDS = ("event", "outcome", "reason", "detail")
_SETTLEMENT_WEI = (
    "predicted_gross", "predicted_gas_cost", "predicted_tip", "predicted_net", "realised_gross", "realised_gas_cost",
    "realised_tip", "realised_net", "error",
)  # fmt: skip
_PLOTTED = ("predicted_net", "realised_net", "error")
_CALL_WEI = ("gross", "gas_cost", "tip", "net", "max_fee", "priority_fee")
_CALL_COUNTS = ("nonce", "gas_limit", "gas_used", "base_fee")

SETTLEMENTS_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(_SETTLEMENT_HASHES, pl.String),
    **dict.fromkeys(_SETTLEMENT_COUNTS, pl.Int64),
    **dict.fromkeys(_SETTLEMENT_WORDS, pl.String),
    **dict.fromkeys(_SETTLEMENT_WEI, pl.String),
    **{f"{name}_eth": pl.Float64 for name in _PLOTTED},
}
DECISIONS_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    **dict.fromkeys(("chain", "seq", "head_number", "target_block", "considered"), pl.Int64),
    **dict.fromkeys(("event", "head_hash", "strategy", "opportunity_id", "target"), pl.String),
    "pools": pl.List(pl.String),
    **dict.fromkeys(_CALL_COUNTS, pl.Int64),
    **dict.fromkeys(_CALL_WEI, pl.String),
    "reasons": pl.List(pl.String),
    "rejected": pl.List(pl.Struct({"reason": pl.String, "count": pl.Int64})),
    "cancels": pl.List(pl.String),
    **dict.fromkeys(("engine", "config_digest", "state_digest"), pl.String),
}


def write_parquet(
    folder: Path, settlements: Iterable[SettlementRecord], decisions: Iterable[DecisionRecord]
) -> Sequence[Path]:
    """Write `settlements.parquet` and `decisions.parquet` into the folder, made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "settlements": pl.DataFrame([_settlement(r) for r in settlements], schema=SETTLEMENTS_SCHEMA, orient="row"),
        "decisions": pl.DataFrame([_decision(r) for r in decisions], schema=DECISIONS_SCHEMA, orient="row"),
    }
    paths = []
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        # Whole or not at all: somebody may be reading the last one.
        part = path.with_suffix(".part")
        table.write_parquet(part)
        part.rename(path)
        paths.append(path)
    return paths


def _hex(value: bytes) -> str | None:
    return "0x" + value.hex() if value else None


def _wei(value: int | None) -> str | None:
    return None if value is None else str(int(value))


def _eth(value: int | None) -> float | None:
    return None if value is None else int(value) / 10**18


def _settlement(row: SettlementRecord) -> dict[str, Any]:
    return {
        **{name: _hex(getattr(row, name)) for name in _SETTLEMENT_HASHES},
        **{name: getattr(row, name) for name in _SETTLEMENT_COUNTS},
        **{name: str(getattr(row, name)) for name in _SETTLEMENT_WORDS},
        **{name: _wei(getattr(row, name)) for name in _SETTLEMENT_WEI},
        **{f"{name}_eth": _eth(getattr(row, name)) for name in _PLOTTED},
    }


def _decision(record: DecisionRecord) -> dict[str, Any]:
    call = record.chosen
    return {
        "id": _hex(record.id),
        **{name: getattr(record, name) for name in ("chain", "seq", "head_number", "target_block", "considered")},
        "event": record.event.value,
        "head_hash": _hex(record.head_hash),
        "strategy": call.strategy.value if call else None,
        "opportunity_id": _hex(call.opportunity_id) if call else None,
        "target": _hex(call.target) if call else None,
        "pools": [_hex(hop.pool) for hop in call.hops] if call else None,
        **{name: getattr(call, name) if call else None for name in _CALL_COUNTS},
        **{name: _wei(getattr(call, name)) if call else None for name in _CALL_WEI},
        "reasons": list(record.reasons),
        "rejected": [{"reason": count.reason, "count": count.count} for count in record.rejected],
        "cancels": [_hex(cancelled) for cancelled in record.cancels],
        "engine": record.engine,
        "config_digest": _hex(record.config_digest),
        "state_digest": _hex(record.state_digest),
    }
