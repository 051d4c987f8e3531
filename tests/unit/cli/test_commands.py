"""The command line without a cluster: what it says, where it says it, and how it ends."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import control, failures
from flows.cli.config import warnings_of
from flows.cli.init import EXAMPLE
from flows.cli.main import app
from schemas.config import Config, load_config
from schemas.control import Command
from schemas.topics import TOPICS

runner = CliRunner()
NOWHERE = "127.0.0.1:1"


def sluice(*arguments: str | Path) -> Result:
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """Flows take the signals over for draining; the tests give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "sluice.toml"
    assert sluice("--config", path, "init").exit_code == 0
    text = path.read_text().replace("127.0.0.1:9092", NOWHERE)
    path.write_text(text.replace("# probe_timeout_s = 10.0", "probe_timeout_s = 0.2"))
    return path


def only_object(result: Result) -> dict[str, object]:
    """The one object of a `--json` call: nothing before it and nothing behind it on stdout."""
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    assert result.stdout.count("\n") == 1
    return value


# ---------------------------------------------------------------- help


def test_help_teaches_the_loop_and_the_first_steps() -> None:
    text = sluice("--help").stdout
    for word in ("The loop", "First steps", "sluice init", "topics create", "submit.live = true"):
        assert word in text


def test_no_arguments_show_help() -> None:
    result = sluice()
    assert "First steps" in result.output
    assert result.exit_code != 0


@pytest.mark.parametrize(
    "command",
    ["init", "config check", "config show", "broker run", "topics list", "topics create", "topics check", "ingest", "search",
     "settle", "tripwire", "report", "show", "dead-letters", "control pause", "control resume", "control cooldown",
     "control suspend", "control readmit"],
)  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    result = sluice(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_help_starts_without_the_heavy_libraries() -> None:
    # In a process of its own: here they are imported already.
    code = (
        "import sys, flows.cli.main; "
        "print([m for m in ('bytewax', 'polars', 'confluent_kafka', 'web3', 'pyrevm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_internal_options_are_not_advertised() -> None:
    assert "--process-id" not in sluice("search", "--help").stdout


# ---------------------------------------------------------------- init and config


def test_init_writes_the_commented_example(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sluice.toml"
    assert only_object(sluice("-c", path, "init", "--json")) == {"path": str(path)}
    assert path.read_text() == EXAMPLE.read_text()


def test_init_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    path.write_text("mine")
    result = sluice("-c", path, "init")
    assert result.exit_code == 1
    assert "not overwritten" in result.stderr
    assert path.read_text() == "mine"


def test_the_example_is_a_valid_dry_run() -> None:
    config = load_config(EXAMPLE)
    assert not config.submit.live
    assert [w.split()[0] for w in warnings_of(config)] == ["executor.address", "executor.owner"]


def test_the_example_names_every_key_and_its_default(tmp_path: Path) -> None:
    """Uncommented, the example is a file that says the same; so no key is missing, misspelled or out of date."""
    optional = (
        "hints_url",
        "pools =",
        "start_block",
        "anchors",
        "gas_corrections",
        "lender",
        "hints_url",
        "deployer",
        "metrics_port",
        # Of the audit: by default the chain's.
        "http_url",
        "owner_key",
        "relay_identity_key",
        '"security',
        '"sasl',
        "[kafka.client",
    )
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        bare = line.removeprefix("# ")
        is_setting = line.startswith("# ") and (" = " in bare) and bare.split(" = ")[0].replace("_", "").isalnum()
        lines.append(bare if is_setting and not bare.startswith(optional) else line)
    text = "\n".join(lines)
    # The commented table of a relay has keys of its own.
    start, end = text.index("# [[submit.relays]]"), text.index("[settle]")
    path = tmp_path / "all.toml"
    path.write_text(text[:start] + text[end:])
    assert load_config(path) == load_config(EXAMPLE)
    for section in tomllib.loads(EXAMPLE.read_text()):
        model = Config.model_fields[section].annotation
        for name in model.model_fields:  # type: ignore[union-attr]
            assert name in EXAMPLE.read_text(), f"{section}.{name} is not in the example"


def test_check_names_the_key(config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace('http_url = "', "http_url = 5 # "))
    result = sluice("-c", config_file, "config", "check")
    assert result.exit_code == 1
    assert "chain.http_url" in result.stderr
    report = only_object(sluice("config", "check", config_file, "--json"))
    assert report["valid"] is False
    assert any("chain.http_url" in str(p) for p in report["problems"])  # type: ignore[attr-defined]


def test_check_finds_a_secret_that_leads_nowhere_and_tells_no_secret(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_file.write_text(
        config_file.read_text().replace("live = false", 'live = false\nowner_key = "env:SLUICE_TEST_KEY"')
    )
    monkeypatch.delenv("SLUICE_TEST_KEY", raising=False)
    missing = sluice("-c", config_file, "config", "check")
    assert missing.exit_code == 1
    assert "SLUICE_TEST_KEY" in missing.stderr
    monkeypatch.setenv("SLUICE_TEST_KEY", "0xsecret")
    for command in (("config", "check"), ("config", "show"), ("config", "show", "--json")):
        found = sluice("-c", config_file, *command)
        assert found.exit_code == 0
        assert "0xsecret" not in found.output + found.stderr


def test_show_is_a_configuration_again(config_file: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown.toml"
    shown.write_text(sluice("-c", config_file, "config", "show").stdout)
    assert load_config(shown) == load_config(config_file)
    assert Config.model_validate(only_object(sluice("-c", config_file, "config", "show", "--json"))) == load_config(
        config_file
    )


# ---------------------------------------------------------------- failing


def test_a_missing_configuration_names_the_way_out(tmp_path: Path) -> None:
    result = sluice("-c", tmp_path / "none.toml", "report")
    assert result.exit_code == 2
    assert "sluice init" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "command",
    [
        ["topics", "create"],
        ["topics", "check"],
        ["report"],
        ["show", "blocks"],
        ["dead-letters"],
        ["control", "pause"],
        ["search"],
        ["settle"],
        ["tripwire"],
        ["control", "readmit", "0x" + "06" * 20],
    ],
)
def test_without_a_broker_the_call_ends_and_says_where_it_looked(config_file: Path, command: list[str]) -> None:
    result = sluice("-c", config_file, *command)
    assert result.exit_code == 1
    assert NOWHERE in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_wrong_use_is_told_from_failure(config_file: Path) -> None:
    for arguments in (["show", "nothing"], ["show", "blocks", "--follow", "--json"], ["control", "cooldown", "0x12", "--until-block", "5"],
                      ["control", "readmit", "0x12"], ["control", "suspend", "06" * 20],
                      ["search", "--process-id", "1"], ["nonsense"], ["report", "--nonsense"]):  # fmt: skip
        result = sluice("-c", config_file, *arguments)
        assert result.exit_code == 2, arguments
        assert result.stdout == ""


def test_an_error_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch, config_file: Path) -> None:
    monkeypatch.setattr("flows.cli.config.dump_config", lambda config: 1 // 0)
    assert isinstance(sluice("-c", config_file, "config", "show").exception, ZeroDivisionError)


def test_expected_errors_exist() -> None:
    for module, name in failures.EXPECTED:
        assert issubclass(getattr(importlib.import_module(module), name), Exception)


# ---------------------------------------------------------------- topics and control


def test_topics_list() -> None:
    listed = only_object(sluice("topics", "list", "--json"))["topics"]
    assert [t["name"] for t in listed] == [t.name for t in TOPICS]  # type: ignore[attr-defined]
    text = sluice("topics", "list").stdout
    assert all(t.name in text for t in TOPICS)


def test_the_same_command_twice_is_two_commands() -> None:
    def record(now: int) -> bytes:
        return control.command_record(1, Command.PAUSE, "", 0, "", control.issuer(now)).id

    assert record(1) != record(2)
    assert record(1) == record(1)


def test_an_issuer_fits_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "x" * 100)
    assert len(control.issuer(2**63)) <= 64


def test_the_program_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", "topics", "list", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["topics"]
