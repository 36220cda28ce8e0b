"""Labelled feedback in, a compressed bundle out, a file analysed: every step by its command."""

import csv
import json
import subprocess
import sys

import pytest
import yaml

THINGS = ("room", "train", "desk", "line", "shop", "meal", "call", "app")
WORDS = {
    "positive": ("lovely", "perfect", "friendly"),
    "negative": ("broken", "rude", "late"),
    "neutral": ("some", "another", "our"),
}
TASKS = {
    "tasks": [
        {"name": "sentiment", "kind": "ordinal", "labels": ["negative", "neutral", "positive"]},
        {"name": "emotion", "kind": "multi_label", "labels": ["anger", "joy"]},
    ]
}
EMOTION = {"positive": ["joy"], "negative": ["anger"], "neutral": []}


def xmpress(*arguments, code=0, **options):
    done = subprocess.run(
        [sys.executable, "-m", "xmpress", *map(str, arguments)],
        capture_output=True,
        text=True,
        **options,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture
def files(tmp_path, tiny_tokenizer_file):
    rows = [
        {"text": f"{word} {thing} {lang}", "lang": lang, "split": split}
        | ({"sentiment": mood} if i % 5 else {})
        | ({"emotion": EMOTION[mood]} if i % 3 else {})
        for mood, words in WORDS.items()
        for word in words
        for lang in ("en", "fr")
        for i, thing in enumerate(THINGS)
        for split in (["train", "train", "validation", "test"][i % 4],)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump(TASKS))
    encoder = {
        "model_type": "bert",
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    (tmp_path / "encoder.yaml").write_text(yaml.safe_dump(encoder))
    (tmp_path / "comments.csv").write_text(
        "id,text,emotion\n1,lovely room,x\n2,rude call,y\n3,,z\n4,lovely room,x\n"
    )
    return tmp_path


@pytest.mark.slow
def test_from_labels_to_an_analysed_file(files, tiny_tokenizer_file):
    teacher, student = files / "teacher", files / "student"
    xmpress("data", "check", files / "rows.jsonl", "--tasks", files / "tasks.yaml")
    xmpress(
        "train", "--data", files / "rows.jsonl", "--tasks", files / "tasks.yaml",
        "--encoder", files / "encoder.yaml", "--set", f"tokenizer={tiny_tokenizer_file.parent}",
        "--set", "max_length=16", "--set", "fit.steps=60", "--set", "fit.batch_tokens=256",
        "--set", "fit.learning_rate=5e-3", "-o", teacher,
    )  # fmt: skip
    xmpress(
        "compress", "distill-int8", "--model", teacher, "--data", files / "rows.jsonl",
        "--set", "student.layers=1", "--set", "passes.distill={steps: 60, learning_rate: 5e-3}",
        "-o", student,
    )  # fmt: skip
    report = json.loads((student / "report.json").read_text())
    assert [entry["pass"] for entry in report["passes"]] == ["distill", "quantize"]
    result = json.loads(
        xmpress(
            "evaluate", student / "bundle", "--data", files / "rows.jsonl",
            "--reference", teacher, "--json",
        )
    )  # fmt: skip
    assert len(result["scorecards"]) == 2
    assert len(result["comparisons"]) == 1

    xmpress("analyze", files / "comments.csv", "-m", student / "bundle", "-o", files / "out.csv")
    with (files / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["id", "text", "emotion"]
    assert [row["emotion"] for row in rows] == ["x", "y", "z", "x"]
    assert [row["sentiment"] for row in rows] == ["positive", "negative", "", "positive"]
    assert [row["emotion_predicted"] for row in rows] == ["joy", "anger", "", "joy"]
    assert rows[0]["sentiment_confidence"] == rows[3]["sentiment_confidence"]
