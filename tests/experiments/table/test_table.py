"""Tables from a made-up sweep, against means and tests worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from experiments.table import notes
from experiments.table.aggregate import AVERAGE, aggregate
from experiments.table.records import Place, Run, read_records
from experiments.table.render import NOTHING, commented_csv, comparisons, texts
from experiments.table.selection import select
from geometry.errors import DataError, UsageError
from geometry.significance import holm
from tests.experiments.table.made_up import DOMAINS, ROWS, SEEDS, by_place, numbers


def test_records_count_what_is_there_and_what_is_not(sweep):
    found = read_records([sweep])
    assert len(found.runs) == 70
    assert sum(states["failed"] for states in found.states.values()) == 1
    assert sum(states["missing"] for states in found.states.values()) == 1
    assert list(found.errors.values()) == ["It broke."]
    again = read_records([sweep, sweep.parent, sweep / "results.csv"])
    assert [run.path for run in again.runs] == [run.path for run in found.runs]
    assert again.states == found.states
    assert np.isnan(next(r for r in found.runs if r.place.held_out == "art").number("target_few"))


def test_selection_takes_the_best_validation_and_never_the_target(sweep):
    runs = read_records([sweep]).runs
    chosen, choices = select(runs)
    assert {run.draw for run in chosen} == {0}
    assert len(chosen) == 36
    assert {choice.of for choice in choices} == {1, 2}
    tempted = [
        Run(r.place, r.draw, r.seed, r.hyperparameters, {**r.numbers, "target_accuracy": 1.0 * r.draw}, r.split, r.path)
        for r in runs
    ]
    assert {run.draw for run in select(tempted)[0]} == {0}
    flipped = [
        Run(r.place, r.draw, r.seed, r.hyperparameters, {"validation_balanced_accuracy": r.draw}, r.split, r.path)
        for r in runs
    ]
    assert {run.draw for run in select(flipped)[0] if run.place.algorithm != "ldam"} == {1}
    # ldam on art lacks draw 1 at two seeds: on average over seeds only draw 0 can be chosen.
    means = {run.draw for run in select(flipped, "mean")[0] if run.place[2:] == ("art", "ldam")}
    assert means == {0}
    assert {run.draw for run in select(flipped, "defaults")[0]} == {0}


def test_ties_and_undefined_validation_go_to_the_defaults(tmp_path):
    place = Place("PACS", "Duality", "art", "erm")

    def run(draw, score):
        return Run(place, draw, 0, str(draw), {"validation_balanced_accuracy": score}, "", tmp_path / str(draw))

    assert select([run(2, 0.5), run(0, 0.5), run(1, 0.4)])[0][0].draw == 0
    assert select([run(1, float("nan")), run(0, float("nan"))])[0][0].draw == 0
    assert select([run(1, 0.1), run(0, float("nan"))])[0][0].draw == 1
    with pytest.raises(UsageError, match="same run"):
        select([run(0, 0.1), Run(place, 0, 0, "0", {}, "", tmp_path / "twin")])
    with pytest.raises(UsageError, match="Unknown selection"):
        select([], "oracle")
    with pytest.raises(UsageError, match="default hyper-parameters"):
        select([run(1, 0.1)], "defaults")
    other = Run(place, 1, 1, "x", {}, "", tmp_path / "x")
    with pytest.raises(UsageError, match="every seed"):
        select([run(1, 0.1), other], "mean")


def test_means_errors_and_tests_by_hand(sweep):
    chosen, _ = select(read_records([sweep]).runs)
    entries = aggregate(chosen, ["target_accuracy"], baseline="erm", test="t")
    found = by_place(entries, "target_accuracy")
    values = {
        row: np.array([[numbers(row, d, 0, s)["target_accuracy"] for s in SEEDS] for d in DOMAINS]) for row in ROWS
    }
    for row in ROWS:
        for place, domain in enumerate(DOMAINS):
            entry = found[row, domain]
            assert entry.mean == pytest.approx(values[row][place].mean())
            assert entry.standard_error == pytest.approx(stats.sem(values[row][place]))
            assert entry.seeds == 4
        average = found[row, AVERAGE]
        assert average.mean == pytest.approx(values[row].mean())
        assert average.standard_error == pytest.approx(stats.sem(values[row].mean(axis=0)))
    p = {row: stats.ttest_rel(values[row].ravel(), values["erm"].ravel()).pvalue for row in ("ndcl", "ldam")}
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    for row in p:
        comparison = found[row, AVERAGE].baseline
        assert comparison.p_value == pytest.approx(p[row])
        assert comparison.p_holm == pytest.approx(corrected[row])
        assert comparison.units == 12
    assert found["erm", AVERAGE].baseline is None
    assert found["ndcl", AVERAGE].best
    assert found["ndcl", AVERAGE].baseline.significant
    assert found["erm", AVERAGE].like_best is False


def test_a_test_without_power_marks_nothing(sweep):
    chosen, _ = select(read_records([sweep]).runs)
    found = by_place(aggregate(chosen, ["target_accuracy"], baseline="erm"), "target_accuracy")
    assert found["erm", "art"].like_best is None  # four seeds: no sign-flip p-value is below 0.125
    assert found["erm", "art"].against_best.powerless
    assert found["erm", AVERAGE].like_best is False
    assert not found["erm", AVERAGE].against_best.powerless


def test_rows_that_differ_alike_in_every_run_have_no_t_test():
    """Gains of 2 points in each of four seeds, equal up to rounding, beside one that scatters."""
    scores = {"erm": [0.70, 0.71, 0.72, 0.73], "same": [0.72, 0.73, 0.74, 0.75], "ndcl": [0.79, 0.82, 0.80, 0.84]}
    runs = [
        Run(Place("PACS", "Duality", "art", row), 0, seed, "", {"target_accuracy": value}, "", f"{row}{seed}")
        for row, values in scores.items()
        for seed, value in enumerate(values)
    ]
    entries = aggregate(runs, ["target_accuracy"], baseline="erm", test="t")
    found = by_place(entries, "target_accuracy")
    same, other = (found[row, "art"].baseline for row in ("same", "ndcl"))
    assert same.difference == pytest.approx(0.02)
    assert np.isnan([same.p_value, same.p_holm, same.low, same.high]).all()
    assert (same.significant, same.powerless) == (False, True)
    assert other.p_holm == other.p_value == pytest.approx(stats.ttest_rel(scores["ndcl"], scores["erm"]).pvalue)
    assert other.significant
    told = notes.tests(entries, "t", "runs", 0.95)
    assert [line for line in told if "no scatter" in line] == [line for line in told if line.startswith("2 of 8")]
    assert not [line for line in told if "too few units" in line]
    (page,) = comparisons(entries, ["target_accuracy"])
    assert [set(line[3:7]) == {NOTHING} for line in page.lines] == [True, False]  # ends and p-values


def test_units_of_the_average(sweep):
    chosen, _ = select(read_records([sweep]).runs)
    for units, expected in (("runs", 12), ("domains", 3), ("seeds", 4)):
        entries = aggregate(chosen, ["target_accuracy"], baseline="erm", units=units)
        comparison = by_place(entries, "target_accuracy")["ndcl", AVERAGE].baseline
        assert comparison.units == expected
        assert comparison.least_p_value == 2.0 ** (1 - expected)
        assert comparison.significant == (expected == 12)
    with pytest.raises(UsageError, match="Unknown units"):
        aggregate(chosen, ["target_accuracy"], units="images")


def test_less_calibration_error_is_better_and_undefined_stays_so(sweep):
    chosen, _ = select(read_records([sweep]).runs)
    entries = aggregate(chosen, ["target_ece", "target_few"])
    assert by_place(entries, "target_ece")["ndcl", AVERAGE].best
    few = by_place(entries, "target_few")
    assert np.isnan(few["erm", "art"].mean)
    assert few["erm", "art"].seeds == 0
    assert np.isnan(few["erm", AVERAGE].mean)
    assert not few["erm", "art"].best
    assert few["ndcl", "photo"].best


def test_a_seed_without_every_domain_is_left_out_of_the_average(sweep):
    chosen, _ = select(read_records([sweep]).runs)
    kept = [run for run in chosen if not (run.place[2:] == ("art", "ndcl") and run.seed == 3)]
    entry = by_place(aggregate(kept, ["target_accuracy"]), "target_accuracy")["ndcl", AVERAGE]
    assert entry.seeds == 3
    assert entry.mean == pytest.approx(
        np.mean([numbers("ndcl", d, 0, s)["target_accuracy"] for d in DOMAINS for s in (0, 1, 2)])
    )
    planned = aggregate(chosen, ["target_accuracy"], places=[Place("PACS", "Duality", "cartoon", "erm")])
    assert np.isnan(by_place(planned, "target_accuracy")["erm", AVERAGE].mean)


def test_other_splits_under_one_seed_are_refused(sweep):
    chosen, _ = select(read_records([sweep]).runs)
    first = chosen[0]
    other = Run(first.place._replace(algorithm="new"), 0, first.seed, "", first.numbers, "elsewhere", first.path)
    with pytest.raises(DataError, match="different splits"):
        aggregate([*chosen, other], ["target_accuracy"])


def test_fewer_seeds_are_told_in_the_cell(sweep):
    from experiments.table.render import overview

    chosen, _ = select(read_records([sweep]).runs)
    kept = [run for run in chosen if not (run.place.algorithm == "ldam" and run.seed == 3)]
    grid = overview(aggregate(kept, ["target_accuracy"]), ["target_accuracy"], {})[0]
    lines = {line[0]: line[1] for line in texts(grid)}
    assert lines["ldam"].endswith("[n=3]")
    assert lines["ndcl"].endswith("*")
    assert lines["erm"].count("n=") == 0


def test_comment_lines_are_skipped_by_readers():
    import io

    import pandas as pd

    text = commented_csv(["one", "two"], ("a", "b"), [(1, float("nan")), (2, 0.5)])
    frame = pd.read_csv(io.StringIO(text), comment="#")
    assert frame["a"].tolist() == [1, 2]
    assert np.isnan(frame["b"][0])
