"""The configuration file: TOML, validated on load, every error naming its key.

Secrets are never in it: a secret is a reference, `env:NAME` or `file:PATH`, resolved where it is used.
"""

from __future__ import annotations

import os
import tomllib
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_serializer,
    model_validator,
)


class ConfigError(Exception):
    """The configuration cannot be used; the message names each key and what is wrong with it."""


def _to_address(value: object) -> bytes:
    if isinstance(value, bytes) and len(value) == 20:
        return value
    if isinstance(value, str) and value.startswith("0x") and len(value) == 42:
        return bytes.fromhex(value[2:])
    raise ValueError("expected an address: 0x and 40 hex digits")


def _to_hash(value: object) -> bytes:
    if isinstance(value, bytes) and len(value) == 32:
        return value
    if isinstance(value, str) and value.startswith("0x") and len(value) == 66:
        return bytes.fromhex(value[2:])
    raise ValueError("expected a hash: 0x and 64 hex digits")


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _to_wei(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('expected wei: an integer, or a decimal string such as "1000000000000000"')
    return int(value)


HexAddress = Annotated[bytes, BeforeValidator(_to_address), PlainSerializer(_hex)]
HexHash = Annotated[bytes, BeforeValidator(_to_hash), PlainSerializer(_hex)]
# TOML integers end at 2**63 in many writers, so wei may be a decimal string.
Wei = Annotated[int, BeforeValidator(_to_wei), Field(ge=0, lt=2**256), PlainSerializer(str)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are fixed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SecretRef(Section):
    """A reference to a secret. Holds where the secret is, never what it is."""

    ref: str

    @model_serializer
    def _to_string(self) -> str:
        return self.ref

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: object) -> object:
        return {"ref": value} if isinstance(value, str) else value

    @field_validator("ref")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        kind, _, rest = value.partition(":")
        if kind not in ("env", "file") or not rest:
            # The value is not repeated: somebody may have written the secret itself here.
            raise ValueError("expected a reference, env:NAME or file:PATH, not the secret itself")
        return value

    def resolve(self) -> str:
        """The secret. Raises `ConfigError` naming the reference where it leads nowhere."""
        kind, _, rest = self.ref.partition(":")
        if kind == "env":
            if rest not in os.environ:
                raise ConfigError(f"secret {self.ref}: environment variable {rest} is not set")
            return os.environ[rest].strip()
        try:
            return Path(rest).expanduser().read_text().strip()
        except OSError as error:
            raise ConfigError(f"secret {self.ref}: {error.strerror}") from None


class ChainConfig(Section):
    """The chain and a node of it. `fork` names the rules that simulations use."""

    id: int = Field(gt=0, le=2**63 - 1)
    http_url: str
    ws_url: str
    anchor: HexAddress
    fork: Literal["Istanbul", "Berlin", "London", "Merge", "Shanghai", "Cancun", "Prague", "Osaka"] = "Prague"
    request_timeout_s: float = Field(10.0, gt=0)
    silent_after_s: float = Field(60.0, gt=0)
    block_seconds: int = Field(12, ge=1)


class KafkaConfig(Section):
    """The cluster. `client` is passed through to librdkafka (TLS, SASL); secret values in it are references."""

    bootstrap_servers: str = "127.0.0.1:9092"
    topic_prefix: str = Field("sluice.", pattern=r"^[A-Za-z0-9._-]*$")
    replication_factor: int = Field(1, ge=1, le=32767)
    client: dict[str, str | int | float | bool] = Field(default_factory=dict)
    client_secrets: dict[str, SecretRef] = Field(default_factory=dict)
    probe_timeout_s: float = Field(10.0, gt=0)

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """Settings for a client, secrets resolved: hand to the client, never to a log."""
        secrets = {name: ref.resolve() for name, ref in self.client_secrets.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **self.client, **secrets}

    def topic(self, name: str) -> str:
        """The cluster's name of one of our topics."""
        return self.topic_prefix + name


#: A pool family by its name in records. Which there are is no matter of this file: flows refuse a name that no family has (`flows.families`).
Family = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class FactoryConfig(Section):
    """A pool factory we know: what its pools are and how their addresses come about.

    `init_code_hash` is needed where the family's pools are found by CREATE2 (`Pool.CREATE2`), by `deployer` if that is not the factory itself.
    `fee_pips` (millionths) is the fee of pools that do not state their own (V2). `variant` names what the factory's pools differ in from
    their family's first version; which there are is the family's business. `from_block` is where its logs begin.
    """

    name: str
    family: Family = "uniswap_v2"
    address: HexAddress
    init_code_hash: HexHash | None = None
    deployer: HexAddress | None = None
    fee_pips: int = Field(3000, ge=0, lt=1_000_000)
    variant: str = ""
    from_block: int = Field(0, ge=0)


class PoolConfig(Section):
    """A pool to admit besides what factories announce: an address, or a table of address and family. Without a family each is tried."""

    address: HexAddress
    family: Family | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_address(cls, value: object) -> object:
        return {"address": value} if isinstance(value, str | bytes) else value


class IngestConfig(Section):
    """The sequencer. `pools` are addresses to admit at start besides what the factories announce. A token is tried again `judge_tokens_every`
    blocks after it was tried; 0: tokens are not tried at all. `hints_url` is a stream of MEV-Share events; without it there are no hints. At most
    `max_hints` of them wait to be written."""

    factories: tuple[FactoryConfig, ...] = ()
    pools: tuple[PoolConfig, ...] = ()
    start_block: int | None = Field(None, ge=0)
    reorg_depth: int = Field(64, ge=1, le=64)
    pending: bool = True
    max_pending: int = Field(4096, ge=1)
    refresh_pending: int = Field(256, ge=0)
    hints_url: str | None = None
    max_hints: int = Field(1024, ge=1)
    judge_tokens_every: int = Field(50_400, ge=0)


class ExecutorConfig(Section):
    """Our contract and the account that owns it and pays its gas. `lender` is a Uniswap V4 PoolManager that lends where no pool of a route can."""

    address: HexAddress
    owner: HexAddress
    lender: HexAddress | None = None


class SearchConfig(Section):
    """Routes and simulation. `anchors` are the tokens that routes start and end in besides the wrapped native one (`chain.anchor`); left out,
    they are the known ones of the chain (`schemas.anchors`). A route must earn more than
    `min_net_wei` after gas at the next base fee: `gas_per_route` for the transaction and the executor, and for each hop its pool's estimate and
    its family's correction. `max_hops` 5 costs several times what 4 does. An event hands on its best `max_candidates` routes, and up to
    `max_cycles` of them as one call where they earn more together (1: never). `shards` is part of the saved state's layout: changing it needs a new state directory.

    Pending transactions are kept with what they read, at most `max_pending_book` of them and `max_pending_book_bytes` (a full book gives up
    first what misses most nonces before it, then the lowest fee, then the oldest), for `pending_expiry_blocks`; at most
    `max_pending_sequence` of one sender are executed in a row. A transaction is also followed behind another sender's that moves a token it
    moves, the latest `max_pending_partners` of them one at a time, for what only both together are worth. Where a simulation misses state, the pool is asked for again, once in
    `request_witness_every` blocks.

    With `access_lists` what may be chosen is executed once more with all that it touched as its access list, and signed with it where it costs less.

    Candidates whose simulation has not begun `deadline_ms` after their event was gathered are refused as late (0: none is).

    `engine`: `revm` is our extension (rules up to Osaka), `pyrevm` the fallback (up to Cancun and what it can do exactly of Prague);
    `auto` takes the extension where it is built. Each decision names the engine that judged it, and a replay insists on it.
    """

    engine: Literal["auto", "revm", "pyrevm"] = "auto"
    anchors: tuple[HexAddress, ...] | None = None
    max_hops: int = Field(4, ge=2, le=5)
    shards: int = Field(16, ge=1, le=256)
    simulation_shards: int = Field(4, ge=1, le=64)
    max_candidates: int = Field(8, ge=1, le=1000)
    max_cycles: int = Field(4, ge=1, le=32)
    min_net_wei: Wei = 0
    gas_per_route: int = Field(30_000, ge=0)
    gas_corrections: dict[Family, int] = Field(default_factory=dict)
    max_pending_book: int = Field(2048, ge=1)
    max_pending_book_bytes: int = Field(8 << 20, ge=1)
    max_pending_sequence: int = Field(8, ge=1, le=64)
    max_pending_partners: int = Field(1, ge=0, le=16)
    pending_expiry_blocks: int = Field(50, ge=1)
    request_witness_every: int = Field(8, ge=1)
    deadline_ms: int = Field(0, ge=0, le=600_000)
    access_lists: bool = True


class DecideConfig(Section):
    """Limits, in wei of the anchor token. `tip_share_bps` is the part of the profit after gas that is bid as tip."""

    min_net_wei: Wei = 10**14
    max_position_wei: Wei = 100 * 10**18
    max_gas: int = Field(1_000_000, ge=21_000)
    tip_share_bps: int = Field(5_000, ge=0, le=10_000)


class RelayConfig(Section):
    """Where bundles go. Endpoints and dialects rot: `verified_at` says when somebody last looked."""

    name: str
    url: str
    verified_at: str = ""
    timeout_s: float = Field(2.0, gt=0)


class SubmitConfig(Section):
    """The edge. Nothing is sent unless `live` is true. The relay identity is not the key that holds funds."""

    live: bool = False
    relays: tuple[RelayConfig, ...] = ()
    owner_key: SecretRef | None = None
    relay_identity_key: SecretRef | None = None
    certify: bool = True
    deadline_s: float = Field(4.0, gt=0)

    @model_validator(mode="after")
    def _live_is_complete(self) -> SubmitConfig:
        missing = [k for k in ("relays", "owner_key", "relay_identity_key") if not getattr(self, k)]
        if self.live and missing:
            raise ValueError(f"live = true needs {', '.join(missing)}")
        if self.owner_key and self.owner_key == self.relay_identity_key:
            raise ValueError("relay_identity_key must not be the owner_key: the identity signs every request")
        return self


class SettleConfig(Section):
    """Settlement. A decision is final `patience_blocks` after its target block, or when the chain says so earlier."""

    shards: int = Field(16, ge=1, le=256)
    patience_blocks: int = Field(2, ge=0, le=32)
    history_blocks: int = Field(64, ge=64, le=1024)


class TripwireConfig(Section):
    """The tripwire. Every pool is compared with the chain within a day, at least `min_sample` pools a block. A block's sample waits for
    `delay_blocks` more, and `patience_blocks` on top where the block turns out not to be the chain's any more."""

    min_sample: int = Field(16, ge=0)
    delay_blocks: int = Field(2, ge=0, le=32)
    patience_blocks: int = Field(4, ge=1, le=64)
    metrics_port: int | None = Field(None, ge=0, le=65535)


class AuditConfig(Section):
    """The audit. `rate` is the share of opportunities that the node at `http_url` (by default the chain's) judges a second time, `batch` at
    once. A node that is away or behind is asked again for `patience_blocks`.

    The alarm is raised when more than `alarm_share` of the last `window` comparisons differ (once there are `min_compared`), and cleared at
    `clear_share`. With `pause_on_alarm` it also tells the search to pause; `sluice control resume` ends that.
    """

    rate: float = Field(0.01, ge=0, le=1)
    http_url: str | None = None
    request_timeout_s: float = Field(10.0, gt=0)
    batch: int = Field(16, ge=1, le=1000)
    patience_blocks: int = Field(4, ge=0, le=64)
    window: int = Field(200, ge=1, le=100_000)
    min_compared: int = Field(20, ge=1)
    alarm_share: float = Field(0.02, ge=0, lt=1)
    clear_share: float = Field(0.0, ge=0, lt=1)
    pause_on_alarm: bool = False
    metrics_port: int | None = Field(None, ge=0, le=65535)

    @model_validator(mode="after")
    def _clears_below_where_it_is_raised(self) -> AuditConfig:
        if self.clear_share > self.alarm_share:
            raise ValueError("clear_share is above alarm_share: the alarm would be cleared where it is raised")
        return self


class RuntimeConfig(Section):
    """How flows run. `state_dir` holds recovery state; epochs longer than a second cost memory in a cluster. Of the candidates that one shard
    of the simulation has of an event, `engine_threads` are executed at the same time; no result shows it."""

    state_dir: Path = Path(".sluice/state")
    epoch_ms: int = Field(500, ge=0, le=10_000)
    batch_size: int = Field(256, ge=1, le=10_000)
    engine_threads: int = Field(1, ge=1, le=256)
    metrics_port: int | None = Field(None, ge=0, le=65535)


class Config(Section):
    """The whole file."""

    chain: ChainConfig
    kafka: KafkaConfig = KafkaConfig()
    ingest: IngestConfig = IngestConfig()
    executor: ExecutorConfig
    search: SearchConfig = SearchConfig()
    decide: DecideConfig = DecideConfig()
    submit: SubmitConfig = SubmitConfig()
    settle: SettleConfig = SettleConfig()
    tripwire: TripwireConfig = TripwireConfig()
    audit: AuditConfig = AuditConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    def decision_digest(self) -> bytes:
        """32-byte hash of everything that can change a decision; written into each decision, insisted on by a replay."""
        parts = [
            self.model_dump_json(include={"executor": True, "search": True, "decide": True}),
            self.chain.model_dump_json(include={"id", "anchor", "fork", "block_seconds"}),
        ]
        return blake2b("\0".join(parts).encode(), digest_size=32).digest()


def load_config(path: Path) -> Config:
    """Read and validate a configuration file. Raises `ConfigError` with one line per wrong key."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file: {error}") from None
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except pydantic.ValidationError as error:
        lines = [f"  {'.'.join(str(p) for p in e['loc']) or '(file)'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path}:\n" + "\n".join(lines)) from None


def dump_config(config: Config) -> str:
    """The configuration as TOML that `load_config` reads back; secrets stay references."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
