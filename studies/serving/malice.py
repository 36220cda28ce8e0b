"""Requests that nobody of good will sends."""

from __future__ import annotations

import json
import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from bench import RESET, Bench, Reply, Row, exchange, http, told
from processes import Watch
from stand import Server

ANALYZE = "/v1/analyze"
BIG = 10 * 2**20
DEPTH = 100_000
SECRETS = (b"root:", b"daemon:", b"[project]", b"Traceback")
"""Of /etc/passwd, of a project's files, of the server's inside: in no answer."""
Requests = Sequence[tuple[str, bytes]]


def _name_of_model(server: Server) -> str:
    _, said = server.get("/v1/models")
    return str(json.loads(said)["models"][0]["name"])


def _volley(
    bench: Bench,
    attack: str,
    sent: str,
    make: Callable[[Server], Requests],
    allowed: set[int],
    check: Callable[[Reply], bool] = lambda reply: True,
) -> Row:
    """Send requests in turn for as long as an attack lasts; all must be refused as they should."""
    statuses: Counter[int] = Counter()
    slowest, bad = 0.0, []
    with bench.stand.server(*bench.arguments) as server:
        requests = make(server)
        with (
            Watch(server.pid) as watch,
            bench.stand.under_load(server, *bench.load) as load,
        ):
            for turn in bench.lasting(len(requests)):
                name, request = requests[turn % len(requests)]
                reply = exchange(server, request)
                statuses[reply.status] += 1
                slowest = max(slowest, reply.seconds)
                leaks = any(secret in reply.content for secret in SECRETS)
                if reply.status not in allowed or leaks or not check(reply):
                    bad.append(f"{name}: {reply.status}")
        alive = server.get("/v2/health/ready")[0] == 200
    happened = f"{told(statuses)}; slowest {1000 * slowest:.0f} ms; MB before, peak, after: "
    happened += f"{watch.at(0):.0f}, {watch.peak:.0f}, {watch.at(1):.0f}"
    if bad:
        happened += f"; not as expected: {', '.join(sorted(set(bad)))}"
    return Row(
        attack, f"{sent}; {statuses.total():,} in all", happened, load.outcome, alive and not bad
    )


def large_bodies(bench: Bench) -> Row:
    """10 MB, with the size told beforehand and without."""
    body = json.dumps({"texts": ["a" * BIG]}).encode()
    chunk = b"%x\r\n%s\r\n" % (1 << 16, b"a" * (1 << 16))
    chunked = http("POST", ANALYZE, headers=[("Transfer-Encoding", "chunked")])
    requests = [
        ("told", http("POST", ANALYZE, body)),
        ("chunked", chunked + chunk * (BIG >> 16) + b"0\r\n\r\n"),
        ("one text", http("POST", ANALYZE, json.dumps({"texts": ["a" * 60_000]}).encode())),
        ("many texts", http("POST", ANALYZE, json.dumps({"texts": ["a"] * 200_000}).encode())),
    ]
    return _volley(
        bench, "10 MB bodies",
        "10 MB with Content-Length, 10 MB in chunks, a text of 60,000 characters, 200,000 texts",
        lambda server: requests, {413, 422, RESET},
    )  # fmt: skip


def deep_json(bench: Bench) -> Row:
    """Brackets within brackets."""

    def make(server: Server) -> Requests:
        opened, closed = b"[" * DEPTH, b"]" * DEPTH
        objects = b'{"texts":' * (DEPTH // 10)
        infer = f"/v2/models/{_name_of_model(server)}/infer"
        tensor = b'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":%s}]}'
        bodies = {
            "open": (ANALYZE, opened),
            "closed": (ANALYZE, opened + closed),
            "texts": (ANALYZE, b'{"texts":' + opened + closed + b"}"),
            "objects": (ANALYZE, objects),
            "tensor": (infer, tensor % (opened + b'"a"' + closed)),
            "moderate": (infer, tensor % (b"[" * 150 + b'"a"' + b"]" * 150)),
        }
        return [(name, http("POST", path, body)) for name, (path, body) in bodies.items()]

    return _volley(
        bench, "deep JSON", f"{DEPTH:,} brackets, open and closed, in /v1 and in tensors of /v2",
        make, {200, 400, 422}, lambda reply: reply.status != 200 or b'"outputs"' in reply.content,
    )  # fmt: skip


def invalid_utf8(bench: Bench) -> Row:
    """Bytes that are no text."""

    def make(server: Server) -> Requests:
        infer = f"/v2/models/{_name_of_model(server)}/infer"
        found = []
        for name, rubbish in {
            "0xff": b"\xff\xfe", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80",
            "cut off": b"\xe6\x9c", "beyond Unicode": b"\xf5\x80\x80\x80",
        }.items():  # fmt: skip
            found.append((name, http("POST", ANALYZE, b'{"texts": ["a' + rubbish + b'"]}')))
            element = struct.pack("<I", len(rubbish)) + rubbish
            head = json.dumps({"inputs": [{
                "name": "text", "datatype": "BYTES", "shape": [1],
                "parameters": {"binary_data_size": len(element)},
            }]}).encode()  # fmt: skip
            headers = [("Inference-Header-Content-Length", str(len(head)))]
            found.append((f"{name}, tensor", http("POST", infer, head + element, headers)))
        found.append(("UTF-16", http("POST", ANALYZE, '{"texts": ["a"]}'.encode("utf-16"))))
        return found

    return _volley(
        bench, "invalid UTF-8",
        "0xff, overlong, surrogates, cut off, beyond Unicode, UTF-16; in JSON and in tensors",
        make, {400},
    )  # fmt: skip


def traversal(bench: Bench) -> Row:
    """Names that are paths."""

    def make(server: Server) -> Requests:
        name = _name_of_model(server)
        up = "../" * 8
        paths = [f"{up}etc/passwd", "..", f"{name}/../../../pyproject.toml", "/etc/passwd"]
        names = []
        for path in paths:
            once = quote(path, safe="")
            names += [path, once, once.replace("%", "%25"), path.replace(".", "%2e")]
            names += [path.replace("/", "\\"), path.replace("../", "..%c0%af"), f"{path}%00"]
        texts = {"texts": ["a"]}
        tensor = json.dumps(
            {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}
        ).encode()
        found = []
        for odd in names:
            found += [
                (f"v2 {odd}", http("GET", f"/v2/models/{odd}")),
                (f"v2 infer {odd}", http("POST", f"/v2/models/{odd}/infer", tensor)),
                (f"v2 version {odd}", http("GET", f"/v2/models/{name}/versions/{odd}")),
                (f"static {odd}", http("GET", f"/static/{odd}")),
            ]
            for key in ("model", "version"):
                body = json.dumps({**texts, key: odd}).encode()
                found.append((f"v1 {key} {odd}", http("POST", ANALYZE, body)))
        return found

    return _volley(
        bench, "path traversal",
        "../, encoded once and twice, backslashes, overlong, NUL, in names and versions of /v1 and "
        "/v2 and in /static", make, {400, 404, 405, 422},
    )  # fmt: skip


def keys(bench: Bench) -> Row:
    """No key, wrong keys, and keys that are replaced while the server runs."""
    file = bench.folder / "keys.txt"
    stays, old, new = (f"{name}-{os.urandom(16).hex()}" for name in ("stays", "old", "new"))
    _write_keys(file, stays, old)
    body = json.dumps({"texts": ["a"]}).encode()
    wrong = [
        [], [("X-API-Key", "")], [("X-API-Key", old[:-1])], [("X-API-Key", f"{old}x")],
        [("X-API-Key", old.upper())], [("X-API-Key", "ключ")], [("Authorization", f"Basic {old}")],
        [("Authorization", "Bearer ")], [("Authorization", old)], [("X-API-Key", "a" * 8_000)],
        [("X-API-Key", f"{stays},{old}")], [("X-API-Key", "# remark")],
    ]  # fmt: skip
    refused: Counter[int] = Counter()
    asks: list[tuple[bytes, list[tuple[str, str]]]] = []
    arguments = [*bench.arguments, "--api-key-file", str(file)]
    with bench.stand.server(*arguments) as server:
        name = json.loads(exchange(server, http("GET", "/v1/models", headers=[("X-API-Key", old)]))
                          .content.partition(b"\r\n\r\n")[2])["models"][0]["name"]  # fmt: skip
        for method, path in (
            ("POST", ANALYZE), ("GET", "/v1/models"), ("GET", "/metrics"),
            ("POST", f"/v2/models/{name}/infer"), ("GET", f"/v2/models/{name}"),
        ):  # fmt: skip
            asks += [(http(method, path, body, headers), headers) for headers in wrong]

        def status(key: str) -> int:
            return exchange(server, http("POST", ANALYZE, body, [("X-API-Key", key)])).status

        before = [status(key) for key in (stays, old, new)]
        with bench.stand.under_load(server, *bench.load, "--key", stays) as load:
            for turn in bench.lasting(len(asks)):
                refused[exchange(server, asks[turn % len(asks)][0]).status] += 1
            _write_keys(file, stays, old, new)
            both = [status(key) for key in (stays, old, new)]
            _write_keys(file, stays, new)
            after = [status(key) for key in (stays, old, new)]
        _write_keys(file)
        none = [status(key) for key in (stays, old, new)]
    steps = [before, both, after, none]
    rotated = steps == [[200, 200, 401], [200, 200, 200], [200, 401, 200], [401, 401, 401]]
    return Row(
        "keys",
        f"{refused.total():,} requests to five addresses with no key or one of {len(wrong) - 1} "
        "wrong ones; then a key added, one removed, all removed",
        f"{told(refused)}; let in: {refused[200]}; statuses of (kept, old, new) key at first, with "
        f"new added, old removed, file empty: {steps}",
        load.outcome,
        rotated and set(refused) <= {400, 401, 431},
    )  # fmt: skip


def _write_keys(file: Path, *values: str) -> None:
    new = file.with_suffix(".new")
    new.write_text("".join(f"{value}\n" for value in values))
    new.replace(file)
    time.sleep(0.01)
