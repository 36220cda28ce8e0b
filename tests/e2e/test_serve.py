"""The server as a process: under load, killed, reloaded, ended; driven by clients of others."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from xmpress.runtime.analyzer import Analyzer
from xmpress.runtime.bundle import Bundle, write_manifest

PATIENCE = 300


class Load:
    """Clients that ask one request after the other, and remember every answer.

    Attributes:
        answers: per request (its number, status, version, labels).
        refused: connections that were refused.
        lost: requests that got no answer though they were connected, and why.
    """

    def __init__(self, address, clients=4):
        self.address = address
        self.answers = []
        self.refused = 0
        self.lost = []
        self._stopped = threading.Event()
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join()

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_for(self, more):
        """Until so many further answers are there."""
        wanted = len(self.answers) + more
        end = time.monotonic() + PATIENCE
        while len(self.answers) < wanted:
            assert time.monotonic() < end
            time.sleep(0.01)

    def _ask(self):
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        while not self._stopped.is_set():
            with self._lock:
                number = next(self._numbers)
            body = json.dumps({"texts": texts_of(number), "tasks": ["sentiment"]})
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                self.refused += 1
                break
            try:
                connection.request("POST", "/v1/analyze", body)
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                break
            labels = [a["sentiment"]["label"] for a in said.get("analyses", [])]
            self.answers.append((number, answer.status, said.get("version"), labels))
        connection.close()


def texts_of(number):
    return [f"request {number} " + "word " * (number % 7), f"waiting {number} far too long"]


def labels_of(bundle, numbers):
    analyzer = Analyzer(bundle, threads=1)
    return {
        n: [a["sentiment"].label for a in analyzer.analyze(texts_of(n), tasks=["sentiment"])]
        for n in numbers
    }


@pytest.mark.slow
def test_nothing_is_lost_when_engines_are_killed_models_replaced_and_the_server_ended(
    start_server, bundle_copy
):
    server = start_server(
        f"tiny={bundle_copy}", "--workers", 2, XMPRESS_THREADS="2", XMPRESS_TIMEOUT=str(PATIENCE)
    )
    engines = server.engines
    assert len(engines) == 2
    with Load(server.address) as load:
        load.wait_for(20)
        os.kill(engines[0], signal.SIGKILL)
        while not server.metric('xmpress_engine_restarts_total{model="tiny"}'):
            load.wait_for(1)
        load.wait_for(20)

        manifest = Bundle.open(bundle_copy).manifest
        write_manifest(bundle_copy, manifest.model_copy(update={"version": "8"}))
        server.process.send_signal(signal.SIGHUP)
        while load.answers[-1][2] != "8":
            load.wait_for(1)
        load.wait_for(20)

        server.process.send_signal(signal.SIGTERM)
        load.join()
    assert server.stop() == 0
    assert load.lost == []
    assert load.refused == 4
    assert {status for _, status, _, _ in load.answers} == {200}
    assert {version for _, _, version, _ in load.answers} == {"7", "8"}
    numbers = Counter(number for number, *_ in load.answers)
    assert set(numbers.values()) == {1}
    expected = labels_of(bundle_copy, numbers)
    assert {number: labels for number, _, _, labels in load.answers} == expected
    logged = [line for line in server.logs if line.get("route") == "/v1/analyze"]
    assert len(logged) == len(load.answers)
    for pid in {*engines, *server.engines}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_engines_end_with_a_server_that_is_killed(start_server, tiny_bundle):
    server = start_server(tiny_bundle, XMPRESS_THREADS="1")
    (engine,) = server.engines
    server.process.kill()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            os.kill(engine, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the engine process is still there")


@pytest.mark.slow
def test_what_is_wrong_is_said_before_anything_listens(tiny_bundle, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, code, says in [
            ([tiny_bundle, "--port", port], 2, "cannot listen on 127.0.0.1"),
            ([tiny_bundle, tiny_bundle], 2, "is there twice"),
            ([tmp_path], 1, "is not a bundle"),
            ([tiny_bundle, "--port", "0", "--engine", "abacus"], 1, "no engine 'abacus'"),
            ([tiny_bundle, "--timeout", "0"], 2, "timeout"),
            ([tiny_bundle, "--api-key-file", tmp_path / "none"], 2, "key file"),
        ]:
            done = subprocess.run(
                [sys.executable, "-m", "xmpress", "serve", *map(str, arguments)],
                capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            assert done.returncode == code, done.stderr
            assert says in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_client_of_triton(server, tiny_bundle):
    pytest.importorskip("gevent")
    client_library = pytest.importorskip("tritonclient.http")
    import numpy as np

    texts = ["the service was great", "trop d'attente au guichet", "最高の接客でした"]
    expected = Analyzer(tiny_bundle, threads=1).analyze(texts, "How was it?")
    client = client_library.InferenceServerClient(server.url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny")
        assert client.is_model_ready("other", "2")
        assert not client.is_model_ready("other", "3")
        assert client.get_server_metadata()["name"] == "xmpress"
        assert client.get_model_metadata("tiny")["versions"] == ["7"]
        for binary in (True, False):
            inputs = []
            for name, values in [("text", texts), ("context", ["How was it?"] * 3)]:
                inputs.append(client_library.InferInput(name, [3], "BYTES"))
                inputs[-1].set_data_from_numpy(np.array(values, dtype=object), binary_data=binary)
            outputs = [
                client_library.InferRequestedOutput(name, binary_data=binary)
                for name in ("sentiment.label", "sentiment.probabilities")
            ]
            for asked in (outputs, None):
                result = client.infer("tiny", inputs, outputs=asked, request_id="1", timeout=10**9)
                labels = [
                    label.decode() if isinstance(label, bytes) else label
                    for label in result.as_numpy("sentiment.label")
                ]
                assert labels == [a["sentiment"].label for a in expected]
                np.testing.assert_allclose(
                    result.as_numpy("sentiment.probabilities"),
                    [list(a["sentiment"].probabilities.values()) for a in expected],
                    atol=1e-4,
                )
        with pytest.raises(client_library.InferenceServerException, match="no model 'none'"):
            client.infer("none", inputs)
    finally:
        client.close()


@pytest.mark.slow
def test_requests_made_from_the_openapi_document_are_never_a_500(server):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    seen = Counter()
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode in modes:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=15, deadline=None, database=None, derandomize=True,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def ask(case):
                answer = case.call(timeout=PATIENCE)
                seen[answer.status_code] += 1
                assert answer.status_code in {200, 400, 404, 405, 413, 422}, answer.text

            try:
                ask()
            except Unsatisfiable:
                continue  # an operation without parameters has no wrong request
    assert seen[200]
    assert seen[422]
    assert server.status("/v2/health/ready") == 200


@pytest.mark.slow
def test_bytes_that_are_no_request(server):
    for rubbish in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 100_000,
        b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/analyze HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"b" * 200_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(server.address, timeout=PATIENCE) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert not answer or answer.split()[1] in {b"400", b"404", b"431", b"200"}, answer[:200]
    assert server.status("/v2/health/ready") == 200
