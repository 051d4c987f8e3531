"""The configuration file: every error names its key, and secrets stay references."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from schemas.config import Config, ConfigError, KafkaConfig, SecretRef, dump_config, load_config

ADDRESS = "0x" + "0a" * 20
BASE: dict[str, dict[str, object]] = {
    "chain": {"id": 1, "http_url": "http://node", "ws_url": "ws://node", "anchor": ADDRESS},
    "executor": {"address": ADDRESS, "owner": "0x" + "0b" * 20},
}
FULL: dict[str, dict[str, object]] = {
    **BASE,
    "kafka": {
        "client": {"security.protocol": "SASL_SSL"},
        "client_secrets": {"sasl.password": "env:SLUICE_TEST_PASSWORD"},
    },
    "ingest": {
        "pools": [ADDRESS],
        "factories": [{"name": "v2", "address": ADDRESS, "init_code_hash": "0x" + "96" * 32}],
        "start_block": 5,
    },
    "decide": {"min_net_wei": "1000000000000000000000", "max_gas": 500_000},
    "submit": {
        "live": True,
        "relays": [{"name": "dev", "url": "http://relay"}],
        "owner_key": "file:owner.key",
        "relay_identity_key": "env:RELAY_KEY",
    },
    "runtime": {"state_dir": "state", "metrics_port": 9100},
}


def load(tmp_path: Path, content: dict[str, dict[str, object]]) -> Config:
    path = tmp_path / "sluice.toml"
    path.write_text(tomli_w.dumps(content))
    return load_config(path)


@pytest.mark.parametrize("content", [BASE, FULL], ids=["smallest", "full"])
def test_what_is_dumped_loads_the_same(tmp_path: Path, content: dict[str, dict[str, object]]) -> None:
    config = load(tmp_path, content)
    again = tmp_path / "again.toml"
    again.write_text(dump_config(config))
    assert load_config(again) == config
    assert load_config(again).decision_digest() == config.decision_digest()


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        ("chain", "id", 0, "chain.id: Input should be greater than 0"),
        ("chain", "anchor", "0x12", "chain.anchor: Value error, expected an address: 0x and 40 hex digits"),
        ("chain", "fork", "CANCUN", "chain.fork: Input should be"),
        ("chain", "colour", "red", "chain.colour: Extra inputs are not permitted"),
        ("kafka", "topic_prefix", "no spaces", "kafka.topic_prefix: String should match pattern"),
        ("ingest", "reorg_depth", 65, "ingest.reorg_depth: Input should be less than or equal to 64"),
        ("ingest", "pools", ["0x12"], "ingest.pools.0.address: Value error, expected an address"),
        ("decide", "min_net_wei", -1, "decide.min_net_wei: Input should be greater than or equal to 0"),
        ("decide", "min_net_wei", 1.5, "decide.min_net_wei: Value error, expected wei"),
        ("submit", "live", True, "submit: Value error, live = true needs relays, owner_key, relay_identity_key"),
        ("runtime", "batch_size", "many", "runtime.batch_size: Input should be a valid integer"),
    ],
)
def test_an_error_names_its_key(tmp_path: Path, section: str, key: str, value: object, line: str) -> None:
    content = {**BASE, section: {**BASE.get(section, {}), key: value}}
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, content)
    assert f"\n  {line}" in str(caught.value)


@pytest.mark.parametrize("value", ["0x" + "zz" * 20, "0x" + "é" * 40, 5], ids=["not hex", "not ascii", "a number"])
def test_an_address_that_is_not_hex_is_an_error_of_its_key(tmp_path: Path, value: object) -> None:
    with pytest.raises(ConfigError, match=r"chain\.anchor"):
        load(tmp_path, {**BASE, "chain": {**BASE["chain"], "anchor": value}})


@pytest.mark.parametrize("value", ["ten", "1e18", ""])
def test_wei_that_is_no_number_is_an_error_of_its_key(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"decide\.min_net_wei"):
        load(tmp_path, {**BASE, "decide": {"min_net_wei": value}})


def test_missing_sections_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)chain: Field required.*executor: Field required"):
        load(tmp_path, {})


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.toml")
    path = tmp_path / "bad.toml"
    path.write_text("= 1")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_config(path)


def test_a_secret_written_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    secret = "0x" + "5e" * 32
    with pytest.raises(ConfigError, match=r"submit\.owner_key.*not the secret itself") as caught:
        load(tmp_path, {**BASE, "submit": {"owner_key": secret}})
    assert secret not in str(caught.value)


def test_the_identity_key_is_not_the_owner_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="relay_identity_key must not be the owner_key"):
        load(tmp_path, {**BASE, "submit": {"owner_key": "env:KEY", "relay_identity_key": "env:KEY"}})


def test_secrets_are_resolved_where_used_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST_PASSWORD", "hunter2\n")
    config = load(tmp_path, FULL)
    assert config.kafka.librdkafka()["sasl.password"] == "hunter2"
    assert "hunter2" not in repr(config) + str(config) + dump_config(config) + config.model_dump_json()


def test_a_reference_that_leads_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLUICE_TEST_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="environment variable SLUICE_TEST_PASSWORD is not set"):
        SecretRef(ref="env:SLUICE_TEST_PASSWORD").resolve()
    with pytest.raises(ConfigError, match="No such file"):
        SecretRef(ref=f"file:{tmp_path / 'none'}").resolve()
    (tmp_path / "key").write_text("value\n")
    assert SecretRef(ref=f"file:{tmp_path / 'key'}").resolve() == "value"


def test_topics_carry_the_prefix() -> None:
    assert KafkaConfig(topic_prefix="dev.").topic("blocks") == "dev.blocks"
