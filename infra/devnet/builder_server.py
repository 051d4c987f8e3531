"""The dev builder's front door: a real JSON-RPC relay over HTTP, with the documented shapes and errors, and dev methods beside them.

Signed like at a relay: `eth_sendBundle`, `eth_callBundle`, `eth_cancelBundle`. Without a signature: `builder_bundleLog`, `dev_misbehave`.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from infra.chain.transactions import SignedTransaction
from infra.devnet.builder import Builder
from infra.devnet.bundles import BadBundle, bundle_hash, read_block_number, read_transactions
from infra.devnet.misbehaviour import Misbehaviour, Mode
from infra.devnet.node import RpcError, quantity, to_hex
from infra.devnet.relay_signature import HEADER, BadSignature, verify
from infra.devnet.simulation import Result, SimulationRefused

log = logging.getLogger(__name__)

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL_ERROR, CUSTOM_ERROR = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
    -32000,
)
# Longest a request is kept waiting in the mode `timeout`; every client has given up long before.
SILENCE_SECONDS = 120.0
MAX_BODY = 10_000_000


class RelayError(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RawAnswer(Exception):
    """An answer outside JSON-RPC, as relays give some."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Relay:
    """The methods, without HTTP."""

    def __init__(self, builder: Builder, misbehaviour: Misbehaviour) -> None:
        """Answer for this builder."""
        self._builder = builder
        self._misbehaviour = misbehaviour
        self._signed: dict[str, Callable[[Mapping[str, Any], bytes], Any]] = {
            "eth_sendBundle": self.send_bundle,
            "eth_callBundle": self.call_bundle,
            "eth_cancelBundle": self.cancel_bundle,
        }
        self._open: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "builder_bundleLog": self.bundle_log,
            "dev_misbehave": self.misbehave,
        }

    def answer(self, request: Any, header: str | None, body: bytes) -> Any:
        """The result of one request. Raises RelayError and RawAnswer."""
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise RelayError(INVALID_REQUEST, "invalid request")
        method, params = request["method"], request.get("params", [])
        first = params[0] if isinstance(params, list) and params else {} if params == [] else None
        if method in self._open:
            return self._open[method](_object(first))
        if method not in self._signed:
            raise RelayError(UNKNOWN_METHOD, f"the method {method} does not exist/is not available")
        if not header:
            raise RelayError(INVALID_REQUEST, "signature is required")
        try:
            signer = verify(header, body)
        except BadSignature as error:
            raise RawAnswer(403, {"error": f"error in signature check {header.partition(':')[0]}"}) from error
        try:
            return self._signed[method](_object(first), signer)
        except BadBundle as error:
            if str(error).startswith("unable to decode txs"):
                log.info("%s", error)
                raise RawAnswer(400, {"error": "unable to decode txs"}) from error
            raise RelayError(INVALID_PARAMS, str(error)) from error

    def send_bundle(self, params: Mapping[str, Any], signer: bytes) -> dict[str, str]:
        """`eth_sendBundle`: keep a bundle for its block."""
        bundle = self._builder.bundles.read(params, signer)
        head = quantity(self._builder.head()["number"])
        if bundle.block_number <= head:
            raise RelayError(CUSTOM_ERROR, f"block {bundle.block_number} is past, the head is {head}")
        self._builder.bundles.add(bundle)
        return {"bundleHash": to_hex(bundle.hash)}

    def cancel_bundle(self, params: Mapping[str, Any], signer: bytes) -> list[str]:
        """`eth_cancelBundle`: the hashes of what is cancelled."""
        uuid = params.get("replacementUuid")
        if not isinstance(uuid, str):
            raise RelayError(INVALID_PARAMS, "replacementUuid is not a string")
        return [to_hex(name) for name in self._builder.bundles.cancel(signer, uuid)]

    def call_bundle(self, params: Mapping[str, Any], signer: bytes) -> dict[str, Any]:
        """`eth_callBundle`: what a bundle would do and pay, on the state after `stateBlockNumber`."""
        transactions = read_transactions(params)
        number = read_block_number(params.get("blockNumber"))
        state = params.get("stateBlockNumber", "latest")
        if state != "latest":
            state = hex(read_block_number(state))
        timestamp = params.get("timestamp")
        if timestamp is not None and (not isinstance(timestamp, int) or isinstance(timestamp, bool)):
            raise RelayError(INVALID_PARAMS, "timestamp is not a number of unix seconds")
        try:
            head = self._builder.node.call("eth_getBlockByNumber", state, False)
            if head is None:
                raise RelayError(CUSTOM_ERROR, "header not found")
            env = self._builder.call_env(head, number, timestamp or None)
            results = self._builder.call_bundle(transactions, env, state)
        except (SimulationRefused, RpcError) as error:
            raise RelayError(CUSTOM_ERROR, str(error)) from error
        return _call_answer(transactions, results, env.base_fee, quantity(head["number"]))

    def bundle_log(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`builder_bundleLog [{blockNumber?}]`: what became of the bundles."""
        number = params.get("blockNumber")
        return [
            entry.to_json()
            for entry in self._builder.bundle_log(read_block_number(number) if number is not None else None)
        ]

    def misbehave(self, params: Mapping[str, Any]) -> bool:
        """`dev_misbehave [{mode, count?, seconds?, delay?}]`: from the next request on; mode null ends it."""
        try:
            self._misbehaviour.set(
                params.get("mode"), params.get("count"), params.get("seconds"), params.get("delay", 2.0)
            )
        except ValueError as error:
            raise RelayError(INVALID_PARAMS, f"{error}; modes are {', '.join(Mode)}") from error
        return True


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RelayError(INVALID_PARAMS, "params is not a list of one object")
    return value


def _call_answer(
    transactions: tuple[SignedTransaction, ...], results: list[Result], base_fee: int, state_number: int
) -> dict[str, Any]:
    """The documented answer of `eth_callBundle`: amounts as decimal strings, gas as numbers."""
    entries = []
    for transaction, result in zip(transactions, results, strict=True):
        fees = result.gas_used * transaction.tip(base_fee)
        entry = {
            "coinbaseDiff": str(result.coinbase_diff),
            "ethSentToCoinbase": str(result.coinbase_diff - fees),
            "fromAddress": to_hex(transaction.sender),
            "gasFees": str(fees),
            "gasPrice": str(result.coinbase_diff // max(1, result.gas_used)),
            "gasUsed": result.gas_used,
            "toAddress": to_hex(transaction.to) if transaction.to else None,
            "txHash": to_hex(transaction.hash),
        }
        if result.success:
            entry["value"] = to_hex(result.output)
        else:
            entry |= {"error": "execution reverted", "revert": to_hex(result.output)}
        entries.append(entry)
    gas = sum(result.gas_used for result in results)
    diff = sum(result.coinbase_diff for result in results)
    fees = sum(
        result.gas_used * transaction.tip(base_fee) for transaction, result in zip(transactions, results, strict=True)
    )
    return {
        "bundleGasPrice": str(diff // max(1, gas)),
        "bundleHash": to_hex(bundle_hash(transaction.hash for transaction in transactions)),
        "coinbaseDiff": str(diff),
        "ethSentToCoinbase": str(diff - fees),
        "gasFees": str(fees),
        "results": entries,
        "stateBlockNumber": state_number,
        "totalGasUsed": gas,
    }


class BuilderServer:
    """The relay on a port of this machine; a context manager. Serves from threads of its own."""

    def __init__(self, builder: Builder, port: int = 0) -> None:
        """Port 0 takes a free one. Nothing is served before `start`."""
        self.builder = builder
        self.misbehaviour = Misbehaviour()
        self._stopping = threading.Event()
        relay = Relay(builder, self.misbehaviour)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(relay, self.misbehaviour, self._stopping))
        self._server.daemon_threads = True
        # A request kept silent on purpose must not keep the process.
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="dev-builder", daemon=True)

    @property
    def url(self) -> str:
        """Address for JSON-RPC over HTTP."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> BuilderServer:
        """Serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port; requests kept silent are let go."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> BuilderServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _handler(relay: Relay, misbehaviour: Misbehaviour, stopping: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet per answer: header and body in two would wait for each other (Nagle, delayed ACK), 40 ms each time.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > MAX_BODY:
                self.close_connection = True
                self._reply(413, {"error": "request entity too large"})
                return
            body = self.rfile.read(length)
            try:
                request = json.loads(body)
            except ValueError:
                self._reply(200, _error(None, PARSE_ERROR, "parse error"))
                return
            control = isinstance(request, dict) and str(request.get("method")).startswith(("dev_", "builder_"))
            mode = None if control else misbehaviour.next()
            if mode is None or mode is Mode.SLOW:
                if mode is Mode.SLOW:
                    stopping.wait(misbehaviour.delay)
                self._reply(*self._answer(request, body))
            else:
                self._misbehave(mode, request, body)

        def _answer(self, request: Any, body: bytes) -> tuple[int, Mapping[str, Any]]:
            name = request.get("id") if isinstance(request, dict) else None
            try:
                return 200, {
                    "jsonrpc": "2.0",
                    "id": name,
                    "result": relay.answer(request, self.headers.get(HEADER), body),
                }
            except RelayError as error:
                return 200, _error(name, error.code, error.message)
            except RawAnswer as answer:
                return answer.status, answer.body
            except Exception:
                log.exception("the dev builder failed on a request")
                return 200, _error(name, INTERNAL_ERROR, "internal error")

        def _misbehave(self, mode: Mode, request: Any, body: bytes) -> None:
            self.close_connection = True
            if mode is Mode.RATE_LIMIT:
                self._reply(429, {"error": "rate limit exceeded"}, {"Retry-After": "1"})
            elif mode is Mode.SERVER_ERROR:
                self._reply(500, "internal server error")
            elif mode is Mode.WRONG_SHAPE:
                self._reply(200, ["ok"])
            elif mode is Mode.TIMEOUT:
                self._answer(request, body)  # acted on, so the client cannot know: that is the point
                stopping.wait(SILENCE_SECONDS)
            # Mode.DROP: the connection closes without an answer

        def _reply(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
            payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
                self.send_header("Content-Length", str(len(payload)))
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(payload)
                self.wfile.flush()
            except ConnectionError:
                self.close_connection = True  # the client has gone; there is nobody to tell

        def log_message(self, format: str, *args: Any) -> None:
            log.debug(format, *args)

    return Handler


def _error(name: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": name, "error": {"code": code, "message": message}}
