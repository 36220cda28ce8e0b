import asyncio
import json

import numpy as np
import polars as pl
import pytest
from load import LOST, OTHER, REFUSED, Load
from outcome import Outcome
from processes import Sample, growth
from score_kill import compare, different_rows, kill_points, out_of_place
from survey import BAD, write_survey, zipf_weights

TEXTS = [["waiting far too long", "great"], ["nobody answered"]]


async def serve(answer, run):
    """Let a load run against a server that answers by a function of body and number."""
    asked = []

    async def talk(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            body = await reader.readexactly(int(lines["Content-Length"]))
            asked.append((lines, body))
            reply = answer(lines, body)
            if reply is None:
                break
            writer.write(reply)
        writer.close()

    async def guarded(reader, writer):
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    async with server:
        await run(server.sockets[0].getsockname())
        await asyncio.sleep(0.05)  # for connections to be closed
    return asked


def reply(status, id_, body=b"{}"):
    head = f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\nX-Request-ID: {id_}\r\n\r\n"
    return head.encode() + body


def loaded(tmp_path, answer, act):
    """The requests of a load, and what the server was asked."""
    with (tmp_path / "answers.jsonl").open("wb") as answers:
        load = None

        async def run(address):
            nonlocal load
            load = Load(address, [b'{"a": 1}', b'{"a": 2}'], answers, "r", "secret")
            await act(load)
            load.close()

        asked = asyncio.run(serve(answer, run))
    return load.requests, asked, (tmp_path / "answers.jsonl").read_bytes()


def test_a_load_sends_each_body_in_turn_and_writes_down_the_answers(tmp_path):
    async def act(load):
        await load.open_loop(rate=500, seconds=0.1, seed=1)

    requests, asked, answers = loaded(
        tmp_path, lambda lines, body: reply(200, lines["X-Request-ID"], body), act
    )
    assert len(requests) == len(asked) > 10
    assert {lines["X-Request-ID"] for lines, _ in asked} == {f"r{i}" for i in range(len(asked))}
    assert {lines["X-API-Key"] for lines, _ in asked} == {"secret"}
    assert {sent.status for sent in requests} == {200}
    for sent in requests:
        assert b'%d {"a": %d}\n' % (sent.number, sent.number % 2 + 1) in answers
        assert sent.due <= sent.sent <= sent.answered


def test_a_load_tells_what_is_lost_anothers_and_not_connected(tmp_path):
    replies = iter([reply(429, "r0"), reply(200, "another"), None])

    async def act(load):
        await load.closed_loop(clients=1, seconds=30)  # which leaves when an answer is lost
        load._address = ("127.0.0.1", 1)
        await load.closed_loop(clients=1, seconds=30)

    requests, _, answers = loaded(tmp_path, lambda lines, body: next(replies), act)
    assert [sent.status for sent in requests] == [429, OTHER, LOST, REFUSED]
    assert answers == b""


@pytest.fixture
def expected():
    texts = [text for part in TEXTS for text in part]
    return {text: np.array([0.1 * i, 1 - 0.1 * i]) for i, text in enumerate(texts)}


def said_of(texts, expected):
    return {
        "version": "7",
        "analyses": [{"t": {"probabilities": dict(enumerate(expected[t]))}} for t in texts],
    }


def test_an_answer_that_is_not_that_of_its_texts_is_found(expected):
    outcome = Outcome([], 1.0, 0.1)
    outcome.check(said_of(TEXTS[0], expected), TEXTS[0], expected)
    assert (outcome.wrong, outcome.furthest) == (0, 0)
    outcome.check(said_of(TEXTS[0][::-1], expected), TEXTS[0], expected)
    outcome.check(said_of(TEXTS[1], expected), TEXTS[0], expected)
    assert outcome.wrong == 2


def test_a_request_that_is_logged_twice_or_otherwise_is_found(tmp_path, expected):
    sent = [[0, 0, 0.0, 0.1, 0.3, 200], [1, 1, 0.1, 0.1, 0.2, 429], [2, 0, 0.2, 0.2, 0.9, LOST]]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sent))
    (tmp_path / "answers.jsonl").write_text(f"0 {json.dumps(said_of(TEXTS[0], expected))}\n")
    (tmp_path / "summary.json").write_text('{"seconds": 1.0, "processor": 0.2}')
    log = [
        {"route": "/v1/analyze", "id": "r0", "status": 200},
        {"route": "/v1/analyze", "id": "r1", "status": 429},
        {"route": "/v1/analyze", "id": "x1", "status": 200},
        {"message": "model ready"},
    ]
    outcome = Outcome.read(tmp_path, TEXTS, expected)
    outcome.check_log(log, "r")
    assert (outcome.good, outcome.lost, outcome.repeated, outcome.wrong) == (1, 1, 0, 0)
    assert outcome.milliseconds(0.5) == pytest.approx(300)
    outcome.check_log([*log, log[0]], "r")
    assert outcome.repeated == 1


def test_growth_is_of_the_second_half_and_not_of_the_end():
    samples = [Sample(i, 100 + (900 if i < 10 else 0) + 2 * i, float(i)) for i in range(20)]
    samples.append(Sample(20, 5.0, 19.0))
    assert growth(samples) == pytest.approx(2)
    assert growth(samples[:3]) == 0


def test_rows_that_differ():
    table = pl.DataFrame({"id": [1, 2, 3], "label": ["a", None, "c"], "all": [["a"], [], None]})
    assert different_rows(table, table.clone()) == 0
    other = table.with_columns(label=pl.Series(["a", "b", "c"]), all=pl.Series([["a"], [], ["b"]]))
    assert different_rows(table, other) == 2
    assert different_rows(table, table.head(2)) == 1
    assert different_rows(table, table.drop("all")) == 3


def output(folder, parts, rejected=""):
    (folder / "parts").mkdir(parents=True)
    for number, ids in enumerate(parts):
        pl.DataFrame({"id": ids}).write_parquet(folder / "parts" / f"part-{number:05d}.parquet")
    (folder / "rejected.jsonl").write_text(rejected)
    (folder / "manifest.json").write_text(json.dumps({"labels": {}, "totals": {"rows": 5}}))
    return folder


def test_outputs_are_compared_row_for_row(tmp_path):
    one = output(tmp_path / "one", [[1, 2], [3, 4, 5]], "row 6")
    assert compare(one, output(tmp_path / "same", [[1, 2], [3, 4, 5]], "row 6")).equal
    swapped = compare(one, output(tmp_path / "swapped", [[2, 1], [3, 4, 5]], "row 6"))
    assert (swapped.parts, swapped.same_bytes, swapped.different, swapped.equal) == (2, 1, 2, False)
    assert compare(one, output(tmp_path / "short", [[1, 2]], "row 6")).different == 3
    assert not compare(one, output(tmp_path / "other", [[1, 2], [3, 4, 5]])).equal
    assert [out_of_place(tmp_path / name, 5) for name in ("one", "swapped", "short")] == [0, 2, 3]


def test_the_lake_is_the_same_again_and_has_what_it_says(tmp_path):
    public = tmp_path / "data" / "public"
    public.mkdir(parents=True)
    texts = [f"answer {i}" for i in range(50)] + ["x" * 500]
    pl.DataFrame({"text": texts, "lang": ["en"] * 51}).write_parquet(public / "a.parquet")
    about = [write_survey(tmp_path / name, tmp_path / "data", 2_000, 3) for name in "ab"]
    assert about[0] == about[1]
    files = sorted((tmp_path / "a").iterdir())
    assert [file.read_bytes() for file in files] == [
        (tmp_path / "b" / file.name).read_bytes() for file in files
    ]
    table = pl.concat([pl.read_parquet(file) for file in files[:-1]])
    lines = files[-1].read_bytes().splitlines()
    assert len(table) + len(lines) == 2_000 + about[0]["broken lines"]
    assert table["id"].to_list() == list(range(1, len(table) + 1))
    assert "x" * 500 not in set(table["text"])
    assert set(table["text"]) - set(texts) <= set(BAD)


def test_first_texts_come_most_often_and_none_never():
    weights = zipf_weights(1000)
    assert weights.sum() == pytest.approx(1)
    assert (np.diff(weights) < 0).all()
    assert weights[0] < 0.1


def test_kills_are_at_distinct_points_in_order():
    points = kill_points(parts=100, kills=5, seed=0)
    assert points == sorted(set(points))
    assert len(points) == 5
    assert points[0] >= 1
    assert points[-1] < 100
    assert points != kill_points(parts=100, kills=5, seed=1)
