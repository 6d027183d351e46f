"""The whole chain on the embedded digits: one command, nothing done twice, one source of every number."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

CHROMIUM = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
RUNS = ("erm", "ndcl")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo with few steps and without UMAP (which has its own test)."""
    from experiments.cli import main

    out = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--out", str(out), "--steps", "16", "--embedding", "pca"]) == 0
    return out


@pytest.fixture(scope="module")
def embedded(demo):
    """The results that the report carries."""
    page = (demo / "report.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="results">(.*?)</script>', page, re.DOTALL)[1])


def test_a_second_run_trains_and_extracts_nothing(demo, tailgeom):
    def times(pattern):
        return {path: path.stat().st_mtime_ns for path in demo.glob(pattern)}

    before = times("*/checkpoint/*") | times("*/artifact/*") | times("*/results/*") | times("*/done")
    code, out, _ = tailgeom("demo", "--out", demo, "--steps", "16", "--embedding", "pca")
    assert code == 0
    assert out.strip().splitlines()[-1] == str(demo / "report.html")
    after = times("*/checkpoint/*") | times("*/artifact/*") | times("*/results/*") | times("*/done")
    assert before == after


@pytest.mark.parametrize("command", ["measure", "compare", "bound", "check"])
@pytest.mark.parametrize("run", RUNS)
def test_numbers_of_the_report_are_those_of_the_single_commands(demo, embedded, tailgeom, run, command):
    code, out, _ = tailgeom(command, demo / run, "--json")
    assert code == 0
    alone, reported = json.loads(out), embedded[run][command]
    if command == "compare":
        assert reported["optimum"].pop("seconds") > 0
        assert alone["optimum"].pop("seconds") > 0
    assert alone == reported


def test_the_optimum_in_the_report_is_that_of_the_optimum_command(demo, embedded, tailgeom):
    code, out, _ = tailgeom("optimum", "--counts-file", demo / "erm" / "counts.csv", "--json")
    assert code == 0
    reported = embedded["erm"]["compare"]["optimum"]
    np.testing.assert_allclose(json.loads(out)["gram"], reported["gram"], atol=1e-9)
    assert json.loads(out)["certified"]


def test_accuracies_agree_between_training_and_bound(demo, embedded):
    """The last evaluation of the selected checkpoint, written while training, is the target risk of the artifact."""
    for run in RUNS:
        selected = json.loads((demo / run / "artifact" / "manifest.json").read_text())["provenance"]["step"]
        rows = [json.loads(line) for line in (demo / run / "metrics.jsonl").read_text().splitlines()]
        row = next(row for row in rows if row["step"] == selected and "target/accuracy" in row)
        risk = next(r for r in embedded[run]["bound"]["risks"] if r["where"] == "target")
        assert 1 - risk["risk"]["estimate"] == pytest.approx(row["target/accuracy"], abs=1e-3)
        assert 1 - risk["groups"]["few"]["estimate"] == pytest.approx(row["target/few"], abs=1e-3)


def test_every_figure_is_there_as_pdf_and_png_and_every_panel_names_a_command(demo):
    names = {path.stem for path in (demo / "figures").glob("*.pdf")}
    assert names == {path.stem for path in (demo / "figures").glob("*.png")}
    assert {
        "angles_features", "angles_predictions", "contact_sheet", "counts", "training_curves", "collapse",
        "gram_features", "gram_predictions", "plane_features",
        "plane_predictions", "margins", "bound_terms", "confidence", "gradient_share", "embedding",
        "gradient_forms_erm", "gradient_forms_ndcl", "margin_scaling", "simplex_alignment", "verdict_matrix",
    } == names  # fmt: skip
    page = (demo / "report.html").read_text()
    assert page.count("<img") == len(names)
    captions = re.findall(r"<figcaption>.*?</figcaption>", page, re.DOTALL)
    assert len(captions) == len(names)
    assert all("tailgeom</span>" in caption for caption in captions)
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_no_figure_shows_raw_mathematics(demo, monkeypatch):
    """Mathematics is off so that a class may be called $x$; nothing drawn may then be written in it."""
    from matplotlib.text import Text

    from experiments.cli import main
    from figures import style

    shown, save = [], style.save

    def record(figure, path):
        paths = save(figure, path)
        shown.extend((path.name, text.get_text()) for text in figure.findobj(Text) if text.get_visible())
        return paths

    monkeypatch.setattr(style, "save", record)
    assert main(["report", *(str(demo / run) for run in RUNS), "--embedding", "pca", "--out", str(demo)]) == 0
    assert len({name for name, _ in shown}) >= 12
    assert not [(name, text) for name, text in shown if "$" in text or "\\math" in text]


def test_results_are_saved_as_json_csv_and_latex(demo):
    for run in RUNS:
        for command in ("measure", "compare", "bound", "check"):
            for suffix in ("json", "csv", "tex"):
                assert (demo / run / "results" / f"{command}.{suffix}").stat().st_size > 0
        table = (demo / run / "results" / "measure.tex").read_text()
        assert table.startswith("\\begin{tabular}")
        assert "\\toprule" in table


def test_run_directory_is_complete(demo):
    for run in RUNS:
        manifest = json.loads((demo / run / "manifest.json").read_text())
        assert {"versions", "commit", "hardware", "seeds", "config", "data"} <= set(manifest)
        assert set(manifest["data"]["sizes"]) >= {"train", "validation", "source_test", "target"}
        counts = (demo / run / "counts.csv").read_text().splitlines()
        assert counts[0].startswith("domain,0,1")
        assert len(counts) == 4


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to open the report with")
def test_report_opens_in_a_browser_without_errors(demo, tmp_path):
    page = (demo / "report.html").read_text()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page)[0]
    script = (
        "<script>onload = () => document.title = [...document.images].every(i => i.naturalWidth > 0) + '!'</script>"
    )
    copy = tmp_path / "report.html"
    copy.write_text(page.replace(policy, "").replace("</body>", script + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += ["--disable-component-update", "--no-first-run", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    found = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "<title>true!</title>" in found.stdout
    assert not [line for line in found.stderr.splitlines() if "CONSOLE" in line]
