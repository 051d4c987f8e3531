"""The report as people read it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from flows.report import Report
from schemas.settlements import Outcome, SettlementRecord

#: Rows of the longest tables; the rest is in --json and Parquet.
SHOWN = 40
_TOP = 8


def eth(wei: int) -> str:
    """Wei as a decimal number of ether, every digit kept."""
    sign, wei = ("-", -wei) if wei < 0 else ("", wei)
    whole, part = divmod(wei, 10**18)
    return f"{sign}{whole}.{part:018d}".rstrip("0").rstrip(".")


def amount(wei: int) -> str:
    """Wei and ether."""
    return f"{wei:,} wei ({eth(wei)} ETH)"


def render(report: Report, console: Console) -> None:
    """Print everything; what there is none of is left out."""
    console.print(_summary(report))
    if report.outcomes:
        console.print(_outcomes(report))
    if report.on_chain:
        console.print(_bundles(report.on_chain))
        if len(report.on_chain) > SHOWN:
            console.print(f"… the newest {SHOWN} of {len(report.on_chain)}; --json and --parquet have all")
    if report.rejections:
        console.print(_counts("Candidates not chosen", "reason", report.rejections))
    if report.certificates:
        console.print(_certificates(report))


def _plain(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _summary(report: Report) -> Table:
    table = _plain("The loop")
    table.show_header = False
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name, value in (
        ("blocks", report.blocks),
        ("events", report.events),
        ("opportunities", report.opportunities),
        ("decisions", f"{report.decisions:,} ({report.decisions_chosen:,} chose a bundle)"),
        ("decisions not settled yet", report.unsettled),
        ("bundles sent", report.bundles_sent),
        ("bundles included", report.bundles_included),
        ("… with several cycles in one call", report.included_of_several),
        ("bundles reverted", report.bundles_reverted),
    ):
        table.add_row(name, value if isinstance(value, str) else f"{value:,}")
    table.add_section()
    table.add_row("predicted net of included", amount(report.predicted_net_wei))
    table.add_row("realised net of included", amount(report.realised_net_wei))
    table.add_row("error", amount(report.error_wei))
    table.add_row("included exactly as predicted", f"{report.included_exact:,} of {report.bundles_included:,}")
    if report.witness_hit_rate is not None:
        table.add_row("witnesses that had all", f"{report.witness_hit_rate:.2%} of {report.opportunities:,}")
    if report.reverted_cost_wei:
        table.add_row("paid for reverted", amount(report.reverted_cost_wei))
    return table


def _outcomes(report: Report) -> Table:
    table = _plain("Outcomes of all decisions")
    table.add_column("outcome")
    table.add_column("decisions", justify="right")
    table.add_column("why")
    for outcome, count in report.outcomes.items():
        why = ", ".join(f"{reason} {n:,}" for (name, reason), n in report.reasons.items() if name == outcome)
        table.add_row(outcome, f"{count:,}", why)
    return table


def _bundles(rows: tuple[SettlementRecord, ...]) -> Table:
    table = _plain("Bundles on chain")
    for name in ("block", "event", "transaction"):
        table.add_column(name)
    for name in ("predicted net (wei)", "realised net (wei)", "error (wei)"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for row in rows[-SHOWN:]:
        why = "reverted" if row.outcome is Outcome.REVERTED and not row.reason else row.reason
        table.add_row(
            str(row.block_number),
            row.event.value,
            f"0x{row.tx_hash.hex()[:12]}…",
            f"{row.predicted_net:,}",
            f"{row.realised_net or 0:,}",
            f"{row.error or 0:,}",
            why or ("exact" if row.error == 0 else ""),
        )
    return table


def _counts(title: str, name: str, counts: Mapping[str, int]) -> Table:
    table = _plain(title)
    table.add_column(name)
    table.add_column("count", justify="right")
    for value, count in list(counts.items())[:_TOP]:
        table.add_row(value, f"{count:,}")
    rest = list(counts.values())[_TOP:]
    if rest:
        table.add_row(f"… {len(rest)} more", f"{sum(rest):,}")
    return table


def _certificates(report: Report) -> Table:
    gas = ", ".join(f"{difference:+,} gas: {n:,}" for difference, n in sorted(report.certificate_gas.items())[:_TOP])
    table = _counts("Certificates of the node", "kind", report.certificates)
    if gas:
        table.caption = f"gas on the node minus predicted: {gas}"
        table.caption_justify = "left"
    return table
