"""Every endpoint, called as a server would call it."""

import asyncio
import json
import logging
import re
import struct

import numpy as np
import pytest

from xmpress.runtime.analyzer import Analyzer
from xmpress.serving.settings import ModelSpec

TEXTS = ["the service was great", "trop d'attente au guichet", "  ", None, "最高の接客でした"]
INFER = "/v2/models/tiny/infer"


def tensor(*texts, **over):
    return {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)} | over


# ---- /v1 ------------------------------------------------------------------------------------


def test_analyze_says_what_the_analyzer_says(serving, tiny_bundle):
    expected = Analyzer(tiny_bundle, threads=1).analyze(TEXTS, "How was it?")

    async def check(client):
        body = {"texts": TEXTS, "contexts": "How was it?"}
        answer = await client.post("/v1/analyze", body)
        assert answer.status == 200
        assert (answer.json["model"], answer.json["version"]) == ("tiny", "7")
        assert len(answer.json["analyses"]) == len(TEXTS)
        for found, analysis in zip(answer.json["analyses"], expected, strict=True):
            assert list(found) == list(analysis)
            for task, prediction in analysis.items():
                wanted = prediction.to_dict()
                assert found[task].keys() == wanted.keys()
                key = "labels" if prediction.multi else "label"
                assert found[task][key] == wanted[key]
                assert found[task]["confidence"] == pytest.approx(wanted["confidence"], abs=2e-5)
                assert found[task]["probabilities"] == pytest.approx(
                    wanted["probabilities"], abs=2e-5
                )
        assert re.fullmatch(r"queue;dur=[\d.]+", answer.headers["server-timing"])

    serving(check)


def test_some_tasks_and_each_text_once(serving):
    async def check(client):
        body = {"texts": ["good"] * 5 + ["bad"], "tasks": ["effort", "sentiment"]}
        answer = (await client.post("/v1/analyze", body)).json["analyses"]
        assert [list(analysis) for analysis in answer] == [["sentiment", "effort"]] * 6
        assert answer[0] == answer[4] != answer[5]
        assert sum(answer[0]["effort"]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        text = client.service.metrics.text().decode()
        assert 'xmpress_batch_texts_sum{model="tiny"} 2.0' in text
        assert 'xmpress_texts_total{model="tiny"} 6.0' in text

    serving(check)


def test_no_texts_and_only_blank_texts(serving):
    async def check(client):
        assert (await client.post("/v1/analyze", {"texts": []})).json["analyses"] == []
        answer = await client.post("/v1/analyze", {"texts": [None], "tasks": ["sentiment"]})
        blank = {"label": None, "confidence": None, "probabilities": {}}
        assert answer.json["analyses"] == [{"sentiment": blank}]

    serving(check)


def test_halves_of_surrogates_are_replaced(serving):
    async def check(client):
        bodies = [b'{"texts": ["cut \\ud83d", "\\ud83d\\ude00", "\\\\ud83d"]}',
                  '{"texts": ["cut \ufffd", "\U0001f600", "\\\\ud83d"]}'.encode()]  # fmt: skip
        one, two = [(await client.post("/v1/analyze", body)).json for body in bodies]
        assert one == two

    serving(check)


def test_several_models_and_versions(serving, tiny_bundle):
    specs = [
        ModelSpec(tiny_bundle, "a", "1"),
        ModelSpec(tiny_bundle, "a", "2"),
        ModelSpec(tiny_bundle, "b"),
    ]

    async def check(client):
        for asked, expected in [
            ({}, ("a", "1")),
            ({"model": "a", "version": "2"}, ("a", "2")),
            ({"model": "b"}, ("b", "7")),
        ]:
            answer = (await client.post("/v1/analyze", {"texts": ["x"], **asked})).json
            assert (answer["model"], answer["version"]) == expected
        assert (await client.post("/v1/analyze", {"texts": ["x"], "model": "c"})).status == 404
        named = (await client.get("/v1/models")).json["models"]
        assert [(m["name"], m["version"]) for m in named] == [("a", "1"), ("a", "2"), ("b", "7")]
        assert named[0]["tasks"][2]["labels"] == ["low", "medium", "high"]
        assert (await client.get("/v2/models/a")).json["versions"] == ["1", "2"]
        assert (await client.get("/v2/models/b/versions/7/ready")).status == 200
        assert (await client.get("/v2/models/b/versions/1/ready")).status == 404

    serving(check, specs)


# ---- /v2 ------------------------------------------------------------------------------------


def test_server_and_model_metadata(serving):
    async def check(client):
        assert (await client.get("/v2")).json["extensions"] == ["binary_tensor_data"]
        assert (await client.get("/v2/health/live")).status == 200
        assert (await client.get("/v2/health/ready")).status == 200
        found = (await client.get("/v2/models/tiny")).json
        assert [i["name"] for i in found["inputs"]] == ["text", "context"]
        assert {"name": "emotion.probabilities", "datatype": "FP32", "shape": [-1, 11]} in found[
            "outputs"
        ]

    serving(check)


def test_infer_in_json(serving, tiny_bundle):
    expected = Analyzer(tiny_bundle, threads=1).analyze(["good", "bad"], ["why?", None])

    async def check(client):
        body = {
            "id": "7",
            "inputs": [tensor("good", "bad", ""), tensor("why?", "", "x", name="context")],
            "outputs": [{"name": "sentiment.probabilities"}, {"name": "emotion.label"}],
        }
        answer = (await client.post(INFER, body)).json
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("tiny", "7", "7")
        probabilities, labels = answer["outputs"]
        assert probabilities["shape"] == [3, 5]
        values = np.reshape(probabilities["data"], (3, 5))
        for row, analysis in zip(values, expected, strict=False):
            assert row == pytest.approx(
                list(analysis["sentiment"].probabilities.values()), abs=1e-5
            )
        assert not values[2].any()
        assert labels["data"] == [";".join(a["emotion"].labels) for a in expected] + [""]

    serving(check)


def test_infer_with_binary_data_on_both_sides(serving):
    async def check(client):
        texts = [b"good", "schön".encode()]
        raw = b"".join(struct.pack("<I", len(t)) + t for t in texts)
        meant = tensor(*(t.decode() for t in texts), shape=[2, 1], data=[["good"], ["schön"]])
        plain = (await client.post(INFER, {"inputs": [meant]})).json
        sent = tensor(shape=[2], parameters={"binary_data_size": len(raw)})
        del sent["data"]
        head = json.dumps(
            {"inputs": [sent], "parameters": {"binary_data_output": True, "timeout": 5_000_000}}
        ).encode()
        answer = await client.post(
            INFER, head + raw, {"Inference-Header-Content-Length": str(len(head))}
        )
        length = int(answer.headers["inference-header-content-length"])
        outputs, rest = json.loads(answer.body[:length])["outputs"], answer.body[length:]
        assert [o["name"] for o in outputs] == [o["name"] for o in plain["outputs"]]
        for output, in_json in zip(outputs, plain["outputs"], strict=True):
            size = output["parameters"]["binary_data_size"]
            part, rest = rest[:size], rest[size:]
            if output["datatype"] == "FP32":
                assert np.frombuffer(part, "<f4").tolist() == pytest.approx(in_json["data"])
            else:
                assert part == b"".join(
                    struct.pack("<I", len(t.encode())) + t.encode() for t in in_json["data"]
                )
        assert rest == b""

    serving(check)


# ---- refusals -------------------------------------------------------------------------------

DEEP = b'{"texts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
WRONG = [
    ("/v1/analyze", b"", 400, "not JSON"),
    ("/v1/analyze", b"{", 400, "not JSON"),
    ("/v1/analyze", b'{"texts": ["\xff"]}', 400, "not JSON"),
    ("/v1/analyze", DEEP, 400, "recursion"),
    ("/v1/analyze", b"[" * 100_000, 400, "recursion"),
    ("/v1/analyze", b'{"texts": NaN}', 422, "texts"),
    ("/v1/analyze", b'{"texts": ["a"], "timeout": 1e999}', 200, ""),
    ("/v1/analyze", b'{"texts": ["a"], "timeout": NaN}', 422, "timeout"),
    ("/v1/analyze", b'{"texts": [' + b"9" * 5000 + b"]}", 400, "out of range"),
    ("/v1/analyze", b"[]", 422, "the body"),
    ("/v1/analyze", b'{"texts": "a"}', 422, "texts"),
    ("/v1/analyze", b'{"texts": [1, {}]}', 422, "texts[1]"),
    ("/v1/analyze", b'{"text": ["a"]}', 422, "did you mean 'texts'"),
    ("/v1/analyze", b'{"texts": ["a"], "contexts": []}', 422, "0 for 1 texts"),
    ("/v1/analyze", b'{"texts": ["a"], "tasks": ["mood"]}', 422, "no task 'mood'"),
    ("/v1/analyze", b'{"texts": ["a"], "timeout": -1}', 422, "timeout"),
    ("/v1/analyze", b'{"texts": ["a", "a", "a", "a"]}', 422, "3 at most"),
    ("/v1/analyze", b'{"texts": ["' + b"a" * 101 + b'"]}', 422, "100 at most"),
    ("/v1/analyze", b'{"texts": ["a"], "contexts": "' + b"a" * 101 + b'"}', 422, "contexts[0]"),
    ("/v2/models/..%2f..%2fetc%2fpasswd/infer", b"{}", 404, "no model"),
    ("/v2/models/../../etc/passwd/infer", b"{}", 404, "Not Found"),
    ("/v2/models/tiny/versions/../infer", b"{}", 404, "no model"),
    (INFER, b"{}", 422, "inputs"),
    (INFER, {"inputs": []}, 422, "no input 'text'"),
    (INFER, {"inputs": [tensor("a", name="image")]}, 422, "unknown or twice"),
    (INFER, {"inputs": [tensor("a"), tensor("a")]}, 422, "unknown or twice"),
    (INFER, {"inputs": [tensor("a", datatype="FP32")]}, 422, "expected BYTES"),
    (INFER, {"inputs": [tensor("a", shape=[2])]}, 422, "expected [n] or [n, 1]"),
    (INFER, {"inputs": [tensor("a", "b", shape=[1, 2])]}, 422, "expected [n] or [n, 1]"),
    (INFER, {"inputs": [tensor("a", shape=[10**30])]}, 422, "shape"),
    (INFER, {"inputs": [tensor("a", shape=[-1])]}, 422, "shape"),
    (INFER, {"inputs": [tensor(1)]}, 422, "expected text"),
    (INFER, {"inputs": [tensor("a"), tensor("a", "b", name="context")]}, 422, "2 for 1 texts"),
    (INFER, {"inputs": [tensor("a")], "outputs": [{"name": "x"}]}, 422, "no such output"),
    (
        INFER,
        {
            "inputs": [tensor("a")],
            "outputs": [{"name": "sentiment.label", "parameters": {"classification": 2}}],
        },
        422,
        "not supported",
    ),
    (INFER, {"inputs": [tensor(parameters={"binary_data_size": 9})]}, 400, "9 bytes announced"),
    (INFER, {"inputs": [tensor(parameters={"binary_data_size": "9"})]}, 422, "not a size"),
]


def test_bad_requests_are_refused_and_told_why(serving):
    async def check(client):
        for path, body, status, says in WRONG:
            answer = await client.post(path, body)
            assert answer.status == status, (path, str(body)[:99], answer.body)
            if status != 200:
                assert says in answer.json["error"], (path, str(body)[:99])
                assert list(answer.json) == ["error"]

    serving(check, max_texts=3, max_characters=100)


BROKEN = [
    (b"\x01\x00\x00", "within a length"),
    (struct.pack("<I", 4_000_000_000) + b"a", "within a text"),
    (struct.pack("<I", 1) + b"\xff", "not UTF-8"),
]


def test_broken_binary_data(serving):
    async def check(client):
        for raw, says in BROKEN:
            sent = tensor(shape=[1], parameters={"binary_data_size": len(raw)})
            head = json.dumps({"inputs": [sent]}).encode()
            length = {"Inference-Header-Content-Length": str(len(head))}
            answer = await client.post(INFER, head + raw, length)
            assert answer.status == 400
            assert says in answer.json["error"]
            assert (await client.post(INFER, head + raw + b"x", length)).status == 400
            for wrong in ("x", "-1", "9" * 30, str(len(head + raw) + 1)):
                wrong = {"Inference-Header-Content-Length": wrong}
                assert (await client.post(INFER, head + raw, wrong)).status == 400

    serving(check)


def test_a_body_that_is_too_large_is_not_read(serving):
    async def check(client):
        large = await client.post("/v1/analyze", b"x" * 1001)
        assert large.status == 413
        assert "1,000 bytes" in large.json["error"]
        undeclared = await client.send("POST", "/v1/analyze", [b"x" * 600] * 3)
        assert undeclared.status == 413
        declared = await client.send("POST", "/v1/analyze", [b"{}"], {"Content-Length": "9" * 5000})
        assert declared.status == 413
        zipped = await client.post("/v1/analyze", b"x", {"Content-Encoding": "gzip"})
        assert zipped.status == 422
        assert client.service._bytes == 0

    serving(check, max_body=1000)


def test_unknown_addresses_and_methods(serving):
    async def check(client):
        for method, path, status in [
            ("GET", "/nothing", 404),
            ("GET", "/static/../settings.py", 404),
            ("GET", "/static/%2e%2e/settings.py", 404),
            ("GET", "/v1/analyze", 405),
            ("DELETE", "/v2", 405),
        ]:
            answer = await client.send(method, path, b"")
            assert (answer.status, list(answer.json)) == (status, ["error"])

    serving(check)


def test_keys(serving):
    async def check(client):
        closed = ["/v1/models", "/v2/models/tiny", "/v2/models/tiny/ready", "/metrics"]
        for path in closed:
            assert (await client.get(path)).status == 401
            wrong = await client.get(path, {"Authorization": "Bearer wrong"})
            assert wrong.status == 401
            assert wrong.headers["www-authenticate"] == "Bearer"
            assert (await client.get(path, {"Authorization": "Bearer right"})).status == 200
        assert (await client.post("/v1/analyze", {"texts": ["a"]})).status == 401
        assert (await client.post(INFER, {}, {"X-API-Key": "other"})).status == 422
        for path in ("/", "/docs", "/openapi.json", "/v2", "/v2/health/ready"):
            assert (await client.get(path)).status == 200

    serving(check, api_keys=("right", "other"))


# ---- load -----------------------------------------------------------------------------------


def test_a_full_queue_refuses_and_a_late_answer_is_given_up(serving):
    async def check(client):
        (engine,) = client.engines
        engine.gate.clear()
        late = asyncio.create_task(
            client.post("/v1/analyze", {"texts": ["a", "b"], "timeout": 0.3})
        )
        await asyncio.sleep(0.1)
        full = await client.post("/v1/analyze", {"texts": ["c", "d"]})
        assert full.status == 429
        assert int(full.headers["retry-after"]) >= 1
        assert (await late).status == 504
        engine.gate.set()
        await asyncio.sleep(0.3)  # what an engine has begun makes room when it is done
        assert (await client.post("/v1/analyze", {"texts": ["c", "d"]})).status == 200
        text = client.service.metrics.text().decode()
        assert 'xmpress_rejected_total{reason="queue_full"} 1.0' in text
        assert 'xmpress_rejected_total{reason="deadline"} 1.0' in text

    serving(check, queue=3)


def test_a_client_that_leaves_makes_room(serving):
    async def check(client):
        (engine,) = client.engines
        engine.gate.clear()
        body = json.dumps({"texts": ["a"]}).encode()
        first = asyncio.create_task(client.send("POST", "/v1/analyze", body))
        await asyncio.sleep(0.1)
        gone = asyncio.Event()
        second = asyncio.create_task(client.send("POST", "/v1/analyze", body, gone=gone))
        await asyncio.sleep(0.1)
        (served,) = client.service.models
        assert served.batcher.pending == 2
        gone.set()
        assert (await second).status == 499
        assert served.batcher.pending == 1
        engine.gate.set()
        assert (await first).status == 200

    serving(check)


def test_a_failing_engine_is_a_503(serving):
    async def check(client):
        client.engines[0].error = "broken"
        answer = await client.post("/v1/analyze", {"texts": ["a"]})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        client.engines[0].error = None
        assert (await client.post("/v1/analyze", {"texts": ["a"]})).status == 200
        client.engines[0].pid = None  # died, and could not be replaced
        assert (await client.get("/v2/health/ready")).status == 503

    serving(check)


def test_a_fault_of_ours_is_a_500_and_the_next_request_is_answered(serving, monkeypatch):
    async def check(client):
        (served,) = client.service.models
        for part in ("encode", "inputs", "rows"):
            with monkeypatch.context() as broken:
                broken.setattr(served.codec, part, lambda *_: 1 / 0)
                answer = await client.post("/v1/analyze", {"texts": ["a"]})
                assert answer.status == 500
                assert "internal error" in answer.json["error"]
            assert (await client.post("/v1/analyze", {"texts": ["a"]})).status == 200
        assert served.batcher.pending == 0

    serving(check)


def test_a_slow_body_is_a_408(serving):
    async def check(client):
        async def receive():
            await asyncio.sleep(60)

        answers = []

        async def send(message):
            answers.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/analyze", "headers": [],
                 "query_string": b""}  # fmt: skip
        await client.app(scope, receive, send)
        assert answers[0]["status"] == 408

    serving(check, timeout=0.2)


def test_not_ready_until_warm(serving):
    async def check(client):
        assert (await client.get("/v2/health/live")).status == 200
        assert (await client.get("/v2/health/ready")).status == 503
        starting = await client.post("/v1/analyze", {"texts": ["a"]})
        assert (starting.status, starting.headers["retry-after"]) == (503, "1")
        client.service.leave()
        assert (await client.get("/v2/health/ready")).status == 503

    serving(check, wait=False)


# ---- what is told ---------------------------------------------------------------------------


def test_metrics_by_label_and_language(serving):
    async def check(client):
        body = {"texts": ["a", "b", "c", " "], "langs": ["fr-CA", "tlh", None, "fr"]}
        answer = (await client.post("/v1/analyze", body)).json["analyses"]
        await client.post("/v1/analyze", body)
        text = (await client.get("/metrics")).body.decode()
        counts = re.findall(r'xmpress_labels_total\{(.*task="sentiment".*)\} (\S+)', text)
        assert sum(float(count) for _, count in counts) == 6
        assert {lang for labels, _ in counts for lang in re.findall(r'lang="(\w+)"', labels)} == {
            "fr", "other", "unknown",
        }  # fmt: skip
        label = answer[0]["sentiment"]["label"]
        assert (
            f'xmpress_labels_total{{label="{label}",lang="fr",model="tiny",task="sentiment",'
            'version="7"} 2.0' in text
        )
        assert 'xmpress_cache_total{model="tiny",result="hit"} 3.0' in text
        for name in ("queue", "tokenisation", "inference"):
            assert f'xmpress_{name}_seconds_count{{model="tiny"}} 1.0' in text
        assert 'xmpress_padding_ratio_count{model="tiny"}' in text
        assert 'xmpress_requests_total{route="/v1/analyze",status="200"} 2.0' in text
        assert 'xmpress_model_info{model="tiny",version="7"} 1.0' in text
        assert 'xmpress_queue_texts{model="tiny"} 0.0' in text

    serving(check, cache=100)


def test_logs_tell_of_requests_and_nothing_of_texts(serving, caplog):
    secret = "my doctor at Elm Street"

    async def check(client):
        with caplog.at_level(logging.INFO, logger="xmpress.serving"):
            await client.post("/v1/analyze", {"texts": [secret]}, {"X-Request-ID": "abc-1"})
            await client.post("/v1/analyze", {"texts": [secret], "langs": secret, "model": secret})
            await client.post("/v1/analyze", {"texts": {secret: secret}})
            await client.get(f"/{secret}")
            client.service.models.get = lambda *_: 1 / 0
            broken = await client.post("/v1/analyze", {"texts": [secret]})
            assert broken.status == 500
            assert "abc" not in broken.json["error"]

    serving(check)
    from xmpress.serving.logs import JsonFormatter

    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert secret not in json.dumps(lines)
    first, failed = lines[0], lines[-2]
    assert {k: first[k] for k in ("id", "route", "status", "model", "texts")} == {
        "id": "abc-1", "route": "/v1/analyze", "status": 200, "model": "tiny@7", "texts": 1,
    }  # fmt: skip
    assert failed["error"] == "ZeroDivisionError"
    assert any("test_app" in place for place in failed["trace"])


def test_pages_and_their_headers(serving):
    async def check(client):
        for path, part in [("/", "<textarea"), ("/docs", "docs.js"), ("/static/table.js", "parse")]:
            answer = await client.get(path)
            assert answer.status == 200
            assert part in answer.body.decode()
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            text = answer.body.decode()
            assert not re.search(r"(src|href)=\"(https?:)?//", text)
            assert "<style" not in text
            assert " style=" not in text

    serving(check)


def test_the_openapi_document_is_whole(serving):
    async def check(client):
        document = (await client.get("/openapi.json")).json
        schemas = document["components"]["schemas"]
        refs = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
        assert set(refs) == set(schemas)
        analyze = document["paths"]["/v1/analyze"]["post"]
        assert set(analyze["responses"]) == {
            "200", "400", "401", "404", "408", "413", "422", "429", "503", "504",
        }  # fmt: skip
        assert "blank" in schemas["AnalyzeRequest"]["properties"]["texts"]["description"]
        example = schemas["AnalyzeRequest"]["example"]
        assert (await client.post("/v1/analyze", example)).status == 200
        example = schemas["InferRequest"]["example"]
        assert (await client.post(INFER, example)).status == 200

    serving(check)
