"""A real Apache Kafka as a child process: one node in KRaft mode, for the demo, the tests and a developer's machine."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka.broker_settings import HOST, as_file, server_properties
from infra.kafka.run_folders import new_run_folder
from infra.runtime.child import ChildError, ChildProcess
from infra.runtime.ports import accepts, free_ports
from infra.toolchain import paths

#: A busy machine needs a minute for the JVM alone; a broker that dies is noticed at once, however long this is.
START_TIMEOUT = 180.0
STOP_TIMEOUT = 30.0
FORMAT_TIMEOUT = 180.0


def new_cluster_id() -> str:
    """A cluster id in Kafka's form: 16 random bytes in base64, which must not look like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def answers(bootstrap_servers: str, timeout: float = 2.0) -> bool:
    """Whether a broker answers a metadata request and names itself."""
    settings: dict[str, Any] = {"bootstrap.servers": bootstrap_servers, "log_level": 0, "error_cb": lambda _: None}
    client = AdminClient(settings)
    try:
        return bool(client.list_topics(timeout=timeout).brokers)
    except KafkaException:
        return False


class LocalBroker:
    """One broker on free ports of this machine. `with LocalBroker() as broker: … broker.bootstrap_servers …`

    It is the process's own child and dies with it. `kill` and `restart` keep ports and data, so clients find the same broker again.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, *, heap_mb: int = 384, start_timeout: float = START_TIMEOUT
    ) -> None:
        """`folder` holds settings, data and log and is kept; without it a folder under `.sluice/run` is used and removed by `close`."""
        self._owns_folder = folder is None
        self.folder = new_run_folder() if folder is None else Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.settings = self.folder / "server.properties"
        self.log_path = self.folder / "broker.log"
        self._start_timeout = start_timeout
        self.port, self.controller_port = free_ports(2, HOST)
        self._java = self._java_command(heap_mb)
        self._child = ChildProcess("Kafka broker", [*self._java, "kafka.Kafka", self.settings], self.log_path)

    @staticmethod
    def _java_command(heap_mb: int) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger."
        return [
            str(paths.java()),
            # Small and quick to start: the machine is shared with everything that is measured on it.
            *(f"-Xmx{heap_mb}m", "-Xms64m", "-XX:+UseSerialGC", "-Xshare:auto"),
            # The client library uses an old way to free buffers, and this Java warns about it at each start.
            "--sun-misc-unsafe-memory-access=allow",
            *(f"{quiet}defaultLogLevel=warn", f"{quiet}showDateTime=true", f"{quiet}dateTimeFormat=HH:mm:ss.SSS"),
            *("-cp", paths.kafka_classpath()),
        ]

    # ---------------------------------------------------------------- state

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients; the same over the broker's whole life."""
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the broker's process is there."""
        return self._child.running

    @property
    def pid(self) -> int | None:
        """The broker's process id, None before the first start."""
        return self._child.pid

    def log_tail(self, lines: int = 30) -> str:
        """The end of the broker's log."""
        return self._child.log_tail(lines)

    # ---------------------------------------------------------------- life

    def start(self) -> LocalBroker:
        """Start the broker and wait until it answers; raises ChildError with the end of its log when it does not."""
        self.settings.write_text(
            as_file(server_properties(self.data, self.port, self.controller_port)), encoding="utf-8"
        )
        self._format_once()
        self._child.start()
        try:
            self._child.wait_ready(self._ready, self._start_timeout)
        except BaseException:
            self._child.kill()
            raise
        return self

    def _ready(self) -> bool:
        # The port is asked first: a Kafka client against a closed port costs threads and retries.
        return accepts(self.port, HOST) and answers(self.bootstrap_servers)

    def _format_once(self) -> None:
        """Give an empty data folder its cluster id; a folder that has one is kept as it is."""
        if (self.data / "meta.properties").exists():
            return
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(self.settings)]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
        if result.returncode != 0:
            raise ChildError(f"Kafka could not prepare its data folder {self.data}:\n{result.stdout}{result.stderr}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> int | None:
        """Stop cleanly (SIGTERM); killed when it takes longer than `timeout`. Data and ports stay."""
        return self._child.stop(timeout)

    def kill(self) -> None:
        """End the broker as a crash would (SIGKILL). Data and ports stay."""
        self._child.kill()

    def restart(self) -> None:
        """Start again on the same ports and data, stopping cleanly first if it runs."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the folder if it was ours to choose."""
        self.stop()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> LocalBroker:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
