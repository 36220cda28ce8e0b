"""The seven questions: what is said, and what is not said."""

import pytest

from xmpress.errors import DataError
from xmpress.study.questions import NO_DIFFERENCE, answers
from xmpress.study.questions.compression import told_apart
from xmpress.study.results import Consistency
from xmpress.study.view import View

KEYS = ["multi_task", "compression", "languages", "zero_shot", "consistency", "calibration", "cost"]


def by_key(results):
    return {answer.key: answer for answer in answers(View(results))}


def varied(results, **fields):
    return results.model_copy(update=fields)


def level(model, reference, drop: float, half: float, synthetic):
    """A model whose comparison says that everything dropped by so much, within so much."""
    card, base = model.card(), reference.card()
    found = synthetic.comparison(base, card).to_dict()
    for value in [
        found["average"], *found["tasks"].values(), *found["languages"].values(), *found["cells"]
    ]:  # fmt: skip
        value.update(percent=drop, low=drop - half, high=drop + half)
    return model.model_copy(update={"comparison": found})


@pytest.fixture(scope="module")
def told(whole):
    return by_key(whole)


def test_every_question_has_a_table_a_plot_and_a_sentence(told) -> None:
    assert list(told) == KEYS
    for answer in told.values():
        assert answer.answered and answer.chart is not None and answer.finding.endswith(".")
        assert answer.reading
        for part in answer.tables:
            assert len(part.runs) in {0, len(part.grid.rows)}
            assert all(len(entries) == len(part.grid.columns) for _, entries in part.grid.rows)


def test_multi_task_has_a_table_per_encoder_and_one_by_task(told) -> None:
    by_task, xlmr, mbert = told["multi_task"].tables
    assert [name for name, _ in by_task.grid.rows][-1] == "mbert · mean"
    assert len(xlmr.grid.rows) == len(mbert.grid.rows) == 13
    assert xlmr.grid.columns == (
        "sentiment", "emotion", "intensity", "effort", "actionability", "mean",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("drop", "half", "said"),
    [
        (0.5, 1.0, f"{NO_DIFFERENCE} on average (0.5 % [−0.5, 1.5]); nor for any single task"),
        (2.0, 1.0, "score lower than the multi-task model by 2.0 % [1.0, 3.0] on average; "
                   "multi-task training helps sentiment, emotion, intensity, effort and "
                   "actionability"),
        (-2.0, 1.0, "score higher than the multi-task model by 2.0 % [1.0, 3.0] on average; "
                    "multi-task training hurts sentiment"),
    ],
)  # fmt: skip
def test_what_multi_task_is_said_to_do_follows_the_interval(
    synthetic, whole, drop: float, half: float, said: str
) -> None:
    results = whole
    models = [
        level(m, results.model(m.reference), drop, half, synthetic)
        if m.role == "single_task" and m.encoder == "xlmr" else m
        for m in results.models
    ]  # fmt: skip
    finding = by_key(varied(whole, models=models))["multi_task"].finding
    assert said in finding.split("mbert:")[0]


@pytest.mark.parametrize(("drop", "called"), [(1.0, "loss"), (-1.0, "gain")])
def test_a_change_within_its_interval_is_no_finding(synthetic, drop: float, called: str) -> None:
    results = synthetic.small()
    model = level(results.models[1], results.models[0], drop, 2.0, synthetic)
    told = by_key(synthetic.small(models=[results.models[0], model]))
    assert NO_DIFFERENCE in told["languages"].finding
    assert f"a {called} that the interval does not tell from none" in told["compression"].finding


def test_who_pays_counts_cells_against_chance(told) -> None:
    finding = told["languages"].finding
    assert "Of 60 cells" in finding and "by chance alone it would be about 1.5 of each" in finding
    assert len(told["languages"].chart.tiles) == 72


def test_zero_shot_has_one_regime_per_way_to_leave_out(told) -> None:
    first = told["zero_shot"].tables[0].grid
    assert first.columns == ("trained on all other languages", "trained on en")
    cells = dict(first.rows)
    assert cells["en"][1].text == "–" and cells["en"][0].text != "–"
    assert "Trained on en, the 11 languages left out lose" in told["zero_shot"].finding


def test_consistency_istold_apart_only_where_intervals_do_not_meet(whole, told) -> None:
    assert f"against xlmr multi-task {NO_DIFFERENCE}" in told["consistency"].finding
    worse = {"sentiment": Consistency(same=0.2, agreement={"de": 0.3}, items=70)}
    models = [
        m.model_copy(update={"consistency": worse}) if m.name == "minilm-l6 int8" else m
        for m in whole.models
    ]
    finding = by_key(varied(whole, models=models))["consistency"].finding
    assert "it is less consistent than xlmr multi-task for sentiment" in finding


def test_calibration_needs_seeds(synthetic, told) -> None:
    assert "over 2 seeds" in told["calibration"].finding
    one = by_key(synthetic.small())["calibration"].finding
    assert f"{NO_DIFFERENCE}, for there is one seed" in one


def test_cost_names_models_not_ids(told) -> None:
    finding = told["cost"].finding
    assert finding.startswith("minilm-l6 int8 takes 1 machine for 500 texts/s, 99 % within 100 ms")
    assert "One such model per task takes 5: 80 % saved. One such" in finding
    assert "xlmr multi-task takes 6: 83 % saved (93 % saved where no machine is idle)." in finding
    assert "/seed1" not in told["cost"].finding
    bars = told["cost"].chart.bars
    assert [bar.value for bar in bars] == [1, 5, 60, 6]
    assert [bar.series for bar in bars] == [0, 1, 1, 1]


def test_cost_is_told_of_the_recommended_model(synthetic, whole) -> None:
    cost = synthetic.cost("minilm-l6-int8/seed1")
    other = [
        {**saving, "what": saving["what"].replace("minilm-l6-int8", "distilmbert-int8")}
        for saving in cost["savings"]
    ]
    dearer = {"what": "minilm-l6-int8/seed1 over that", "machines": [2, 1], "percent": -100.0,
              "percent_at_capacity": -50.0}  # fmt: skip
    told = by_key(varied(whole, cost={**cost, "savings": [*other, *cost["savings"], dearer]}))
    assert "distilmbert" not in told["cost"].finding
    assert (
        "that takes 1: 100 % dearer (50 % dearer where no machine is idle)" in told["cost"].finding
    )
    assert len(told["cost"].chart.bars) == 5
    savings = [t for t in told["cost"].tables if t.grid.title.startswith("Savings")]
    assert [(len(table.grid.rows), table.folded) for table in savings] == [(4, False), (3, True)]


def test_languages_that_win_are_not_said_to_show_no_difference(synthetic) -> None:
    make = synthetic.Maker(["sentiment"], ["en", "fr"], (1,))
    make.add("big", "multi_task", 0.5)
    make.add("less", "compressed", 0.9, recipe="r", reference="big", bytes=10)
    told = by_key(synthetic.small(models=make.models, languages=["en", "fr"]))
    assert (
        "no language is shown to lose; shown to win: en and fr. Of 2 cells"
        in told["languages"].finding
    )
    assert "it scores higher than what it was made from" in told["compression"].finding


def test_the_least_study_says_why_not(synthetic) -> None:
    told = by_key(synthetic.small())
    assert list(told) == KEYS
    assert told["multi_task"].unjudged == ("There is one task.",)
    for key in ("multi_task", "zero_shot", "consistency", "cost"):
        assert not told[key].answered and told[key].finding == "Could not be judged."
        assert told[key].unjudged
    assert "models are ordered by their size" in told["compression"].unjudged[0]
    assert "1 cell" not in told["languages"].finding


def test_nothing_made_yet(whole) -> None:
    told = by_key(varied(whole, models=[], speed=None, cost=None, complete=False))
    for answer in told.values():
        assert not answer.answered
        assert "The study is not finished." in answer.unjudged


def test_models_without_scores_are_passed_over(whole) -> None:
    bare = {"scorecard": None, "comparison": None, "consistency": None, "calibration": None}
    models = [m if n % 3 else m.model_copy(update=bare) for n, m in enumerate(whole.models)]
    assert all(answer.finding for answer in answers(View(varied(whole, models=models))))


def test_a_language_without_labels_is_named(synthetic, whole) -> None:
    rows = {("emotion", "th"): 0, ("emotion", "zh"): 12}
    make = synthetic.Maker(["sentiment", "emotion"], ["en", "th", "zh"], (1, 2), rows)
    make.add("big", "multi_task", 0.8)
    make.add("less", "compressed", 0.7, recipe="r", variant="int8", reference="big")
    told = by_key(
        varied(
            whole, models=make.models, languages=["en", "th", "zh"],
            tasks=[synthetic.task("sentiment"), synthetic.task("emotion")],
            speed=None, cost=None, missing=[],
        )
    )["languages"]  # fmt: skip
    assert told.unjudged == ("emotion: no labelled test rows in th.",)
    table = dict(told.tables[0].grid.rows)
    assert table["th"][1].text == "–"
    assert table["zh"][1].unsure
    assert any("fewer than 50" in note for note in told.tables[0].grid.notes)


def test_too_few_rows_are_no_finding_however_large_the_difference(synthetic) -> None:
    rows = {("sentiment", lang): 12 for lang in ("en", "fr")}
    make = synthetic.Maker(["sentiment"], ["en", "fr"], (1,), rows)
    make.add("all", "multi_task", 0.8)
    make.add("one", "single_task", 0.3, tasks=["sentiment"], reference="all")
    make.add("half", "zero_shot", 0.3, trained=["en"], reference="all")
    make.add("less", "compressed", 0.3, recipe="r", reference="all", bytes=10)
    told = by_key(synthetic.small(models=make.models, languages=["en", "fr"], missing=[]))
    assert "too few labelled rows to judge for sentiment" in told["multi_task"].finding
    assert "too few labelled rows to judge in fr" in told["zero_shot"].finding
    assert "no language has rows enough" in told["languages"].finding
    assert "too few labelled rows to judge" in told["compression"].finding or (
        "No compressed model keeps" in told["compression"].finding
    )


def test_cost_of_another_form_is_an_error(synthetic) -> None:
    with pytest.raises(DataError, match=r"cost is not what .* computes"):
        by_key(synthetic.small(cost={"bills": []}))


def test_what_is_not_made_yet_is_said(whole) -> None:
    lacking = [m for m in whole.models if m.tasks != ["effort"] or m.role != "single_task"]
    told = by_key(varied(whole, models=lacking))["multi_task"]
    assert told.unjudged == (
        "xlmr: no single-task model for effort.", "mbert: no single-task model for effort.",
    )  # fmt: skip
    told = by_key(varied(whole, models=lacking, complete=False))["multi_task"]
    assert "xlmr: no single-task model for effort yet." in told.unjudged


def test_encoders_are_called_by_their_titles(whole) -> None:
    models = [m.model_copy(update={"encoder": f"{m.encoder}-key"}) for m in whole.models]
    assert by_key(varied(whole, models=models))["multi_task"].finding.startswith("xlmr: ")


def test_means_say_how_many_languages_they_are_of(synthetic) -> None:
    rows = {("effort", "th"): 12, ("effort", "zh"): 49}
    make = synthetic.Maker(["sentiment", "effort"], ["en", "th", "zh"], (1,), rows)
    make.add("all", "multi_task", 0.8)
    make.add("one", "single_task", 0.7, tasks=["effort"], reference="all")
    results = synthetic.small(
        models=make.models, languages=["en", "th", "zh"],
        tasks=[synthetic.task("sentiment"), synthetic.task("effort")],
    )  # fmt: skip
    notes = by_key(results)["multi_task"].tables[0].grid.notes
    assert "at least 50 labelled rows: effort 1 of 3." in notes[0]


def test_both_sides_of_a_comparison_are_of_the_same_seeds(whole) -> None:
    """A multi-task model of a seed without single-task models counts in no difference."""
    kept = [m for m in whole.models if m.role != "single_task" or m.seed == 1]
    by_task = by_key(varied(whole, models=kept))["multi_task"].tables[0].grid
    before, after, points, _ = dict(by_task.rows)["xlmr · effort"]
    assert "±" not in before.text
    difference = float(before.text) - float(after.text)
    assert difference == pytest.approx(float(points.text.replace("−", "-")), abs=0.11)
    kept = [m for m in whole.models if m.role != "compressed" or m.seed == 1]
    notes = by_key(varied(whole, models=kept))["compression"].tables[0].grid.notes
    assert any("of the seeds that both models have" in note for note in notes)


def test_everything_measured_is_told(whole) -> None:
    first = whole.speed.rows[0]
    more = [
        first.model_copy(update={"policy": "one by one", "texts_per_second": 7.0}),
        first.model_copy(update={"device": "cuda", "precision": "bf16", "texts_per_second": 7e4,
                                 "over": {"xlm-roberta-base": 9.5}}),
    ]  # fmt: skip
    speed = whole.speed.model_copy(update={"rows": [*whole.speed.rows, *more]})
    table = by_key(varied(whole, speed=speed))["compression"].tables[1]
    assert table.folded and len(table.grid.rows) == len(speed.rows)
    cells = {
        name: dict(zip(table.grid.columns, (entry.text for entry in entries), strict=True))
        for name, entries in table.grid.rows
    }
    assert cells["distilmbert fp32, cpu, one by one"]["texts/s"] == "7.0"
    found = cells["distilmbert fp32, cuda, bf16, bulk"]
    assert (found["texts/s"], found["over xlm-roberta-base"]) == ("70,000", "9.50x")
    assert found["memory"] == "500.0 MB"


def test_speedups_are_told_over_what_compressed_models_were_made_from(whole) -> None:
    """Each uncompressed model has a speedup of 1 over itself; only one of them was compressed."""
    over = {"reference": "xlmr-multi-task/seed1", "over": {"xlm-roberta-base": 40.0}}
    rows = [row.model_copy(update=over) for row in whole.speed.rows]
    itself = {"model": "mbert-multi-task/seed1", "reference": "mbert-multi-task/seed1"}
    base = {"model": "xlm-roberta-base", "speedup": 0.0312, "low": 0.03, "high": 0.0344}
    rows = [
        *rows[:-1],
        rows[0].model_copy(update={**itself, "speedup": 1.0, "low": 1.0, "high": 1.0}),
        rows[0].model_copy(update=base),
    ]
    note = "xlm-roberta-base: the tokenizer of xlmr-multi-task/seed1 stands in for its own"
    update = {"rows": rows, "rounds": 3, "notes": [note]}
    told = by_key(varied(whole, speed=whole.speed.model_copy(update=update)))["compression"]
    assert "as fast as xlmr multi-task (log" in told.chart.across
    assert "over xlmr multi-task)" in told.ours
    table = told.tables[0].grid
    assert (
        "Speedup over xlmr multi-task: median, lowest and highest of the ratios within the 3 "
        "rounds."
    ) in table.notes
    assert (
        told.tables[1]
        .grid.notes[0]
        .startswith(
            "Speedup over the uncompressed model of the same encoder (mbert multi-task and xlmr "
            "multi-task), of baselines over xlmr multi-task"
        )
    )
    # A twentieth is not zero.
    _, _, _, speedup, *_ = dict(table.rows)["xlm-roberta-base, cpu"]
    assert (speedup.text, speedup.interval) == ("0.031x", ("0.03", "0.034"))
    assert any("the tokenizer of xlmr multi-task stands in" in line for line in table.notes)
    cells = dict(told.tables[1].grid.rows)["mbert multi-task"]
    assert (cells[0].text, cells[0].interval) == ("1x", None)


def test_measurements_tell_what_they_rest_on(whole) -> None:
    first = whole.speed.rows[0].model_copy(
        update={"engine": "onnxruntime 1.20", "tokens_per_text": 21.25, "calls": 64}
    )
    speed = whole.speed.model_copy(update={"rows": [first, *whole.speed.rows[1:]]})
    grid = by_key(varied(whole, speed=speed))["compression"].tables[1].grid
    cells = dict(zip(grid.columns, dict(grid.rows)["distilmbert fp32"], strict=True))
    assert cells["engine"].text == "onnxruntime 1.20"
    assert cells["tokens per text"].text == "21.2"
    assert any("p50 and p99" in note and "64 calls or more" in note for note in grid.notes)
    without = by_key(whole)["compression"].tables[1].grid
    assert any("p50 and p99" in note and "calls" not in note for note in without.notes)


def bill(candidate: str, machines: int | None, machine: str = "c8") -> dict[str, object]:
    known = machines is not None
    return {
        "candidate": candidate, "machine": machine, "capacity": 40.0 if known else 0.0,
        "machines": machines, "per_million": 1234.5 if known else None,
        "per_month": 99.0 if known else None,
    }  # fmt: skip


def test_beside_the_papers_saving_stands_the_one_over_the_full_size_model(synthetic, whole) -> None:
    cost = synthetic.cost("minilm-l6-int8/seed1")
    cost["savings"][2] |= {"machines": [1, 1], "percent": 0.0}
    told = by_key(varied(whole, cost=cost))["cost"]
    assert told.ours == (
        "minilm-l6 int8: over xlmr multi-task, nothing saved on whole machines (93 % saved where "
        "no machine is idle); for 500 texts/s, 99 % within 100 ms"
    )
    # Sixty models need not stand on sixty machines where the load is large.
    assert "takes 60: 98 % saved (80 % saved where no machine is idle)." in told.finding
    assert told.unjudged == (
        "xlm-roberta-base does not answer 99 % of texts within 100 ms, however many machines there "
        "are: no saving can be told.",
    )


def test_a_recommended_model_that_is_too_slow_is_said_to_be(synthetic, whole) -> None:
    cost = synthetic.cost("distilmbert-int8/seed1")
    cost["bills"].append(bill("minilm-l6-int8/seed1", None))
    finding = by_key(varied(whole, cost=cost))["cost"].finding
    assert finding.startswith(
        "minilm-l6 int8 is too slow for 500 texts/s, 99 % within 100 ms. distilmbert int8 takes 1 "
        "machine"
    )


def test_nothing_is_saved_whole(synthetic, whole) -> None:
    cost = synthetic.cost("minilm-l6-int8/seed1")
    much = {"percent": 99.82, "percent_at_capacity": 99.98}
    cost["savings"][2] |= {"machines": [1, 547], **much}
    told = by_key(varied(whole, cost=cost))["cost"]
    assert (
        "takes 547: 99.8 % saved (more than 99.9 % saved where no machine is idle)" in told.finding
    )
    assert [cell.text for cell in told.tables[0].grid.rows[2][1]] == [
        "1", "547", "99.8 %", "more than 99.9 %",
    ]  # fmt: skip


def test_a_load_without_another_way_to_deploy_still_has_its_price(synthetic) -> None:
    """One task, one language, nothing else measured: that is no failure to meet the limit."""
    cost = {**synthetic.cost("tiny-int8/seed1", 1, 1), "savings": []}
    cost["bills"] = [bill("tiny-int8/seed1", 2)]
    told = by_key(synthetic.small(cost=cost))["cost"]
    assert told.finding == (
        "tiny int8 takes 2 machines for 500 texts/s, 99 % within 100 ms, 99 USD a month on c8; "
        "there is no other way to deploy that it could be compared with."
    )
    assert told.ours == ""
    # What is to be known of prices stands below them where no table of savings is there.
    assert "It is machine hours alone." in told.tables[0].grid.notes
    cost["bills"] = [bill("tiny-int8/seed1", None)]
    told = by_key(synthetic.small(cost=cost))["cost"]
    assert told.finding.endswith("no model answers within the limit on c8.")


def test_bills_on_the_first_machine_are_shown_and_the_others_on_demand(synthetic, whole) -> None:
    cost = synthetic.cost("minilm-l6-int8/seed1")
    cost["bills"] += [{**one, "machine": "c9"} for one in cost["bills"]]
    cost["bills"].append(bill("distilmbert-int8/seed1", 3, "c9"))
    cost["prices"] = [
        {"name": name, "provider": "X", "threads": 4, "per_hour": 0.5, "source": "example",
         "date": "2024"}
        for name in ("c8", "c9")
    ]  # fmt: skip
    told = by_key(varied(whole, cost=cost))["cost"]
    first, other = (t for t in told.tables if t.grid.title.startswith("What "))
    assert (first.grid.title[-5:], first.folded, other.folded) == ("on c8", False, True)
    assert "X c8: 4 threads, 0.5 USD per hour (example; 2024)." in first.grid.notes
    assert dict(first.grid.rows)["minilm-l6 int8"][2].text == "0.0812"
    assert "xlm-roberta-base has random weights" in " ".join(first.grid.notes)
    assert [cell.text for cell in dict(other.grid.rows)["distilmbert int8, c9"]] == [
        "40.0", "3", "1,234.5", "99",
    ]  # fmt: skip


def test_a_model_that_was_not_measured_is_named(whole) -> None:
    rows = [row for row in whole.speed.rows if not row.model.startswith("minilm-l12-fp32")]
    speed = whole.speed.model_copy(update={"rows": rows})
    told = by_key(varied(whole, speed=speed))["compression"]
    assert told.unjudged == ("minilm-l12 fp32: its speed was not measured, so it is not in the "
                             "plot.",)  # fmt: skip


def test_memory_of_one_deployment_and_of_many(whole, told) -> None:
    assert told["cost"].finding.endswith(
        "Memory: 500.0 MB instead of 2.5 GB with one per task (5) and 30.0 GB with one per task "
        "and language (60)."
    )
    table = next(t for t in told["cost"].tables if t.grid.title.startswith("Memory"))
    cells = dict(table.grid.rows)["distilmbert fp32"]
    assert [cell.text for cell in cells] == ["500.0 MB", "2.5 GB", "30.0 GB"]
    rows = [row.model_copy(update={"memory_bytes": None}) for row in whole.speed.rows]
    speed = whole.speed.model_copy(update={"rows": rows})
    without = by_key(varied(whole, speed=speed))["cost"]
    assert "Memory" not in without.finding and len(without.tables) == len(told["cost"].tables) - 1


def test_names_in_a_plot_leave_out_what_all_begin_with() -> None:
    names = [
        "zoo:small 3x384 minilm int8",
        "zoo:small 3x384 minilm fp32",
        "zoo:small 3x384 teacher",
    ]
    assert told_apart(names) == ["minilm int8", "minilm fp32", "teacher"]
    assert told_apart(["a b", "b a"]) == ["a b", "b a"]
    assert told_apart(names[:1]) == names[:1]
    assert told_apart(["same", "same int8"]) == ["same", "same int8"]
