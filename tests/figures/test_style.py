import subprocess
import sys

import matplotlib
import pytest
from matplotlib.image import imread

from figures import confidence, gram, style


def test_pdf_embeds_truetype_and_nothing_is_left_beside_it(pacs, tmp_path):
    written = style.save(confidence.figure(pacs.confidence(60)), tmp_path / "deep" / "confidence.v1")
    assert [path.name for path in written] == ["confidence.v1.pdf", "confidence.v1.png"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["confidence.v1.pdf", "confidence.v1.png"]
    pdf = written[0].read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/Type3" not in pdf
    assert b"/CIDFontType2" in pdf
    assert imread(written[1]).shape[1] == round(style.DOUBLE * style.RC["savefig.dpi"])


def test_the_same_figure_gives_the_same_bytes(pacs, tmp_path):
    first, second = (style.save(gram.figure(pacs.gram(), class_names=pacs.classes), tmp_path / n) for n in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    figure = style.new_figure(2, 2)
    style.save(figure, tmp_path / "f")
    before = (tmp_path / "f.pdf").read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        style.save(figure, tmp_path / "f")
    assert (tmp_path / "f.pdf").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"f.pdf", "f.png"}


def test_settings_do_not_leak(pacs):
    before = dict(matplotlib.rcParams)
    gram.figure(pacs.gram(), class_names=pacs.classes)
    assert dict(matplotlib.rcParams) == before


def test_models_and_groups_differ_in_more_than_colour():
    models = style.model_marks(["ERM", "NDCL", "c", "d", "e", "f"]).values()
    groups = [style.group_mark(name) for name in style.GROUP_ORDER]
    for marks in (list(models), groups):
        for part in ("colour", "marker"):
            assert len({getattr(mark, part) for mark in marks}) == len(marks)
    assert len({str(mark.line) for mark in models}) == len(models)
    assert style.ordered_groups(["few", "other", "many", "few", "all"]) == ["all", "many", "few", "other"]


def test_figures_need_neither_pyplot_nor_the_other_packages():
    code = """
import sys
from figures import bound_terms, collapse, confidence, contact_sheet, counts, embedding, gradient_share, gram
from figures import margins, plane, report, style, training_curves
counts.figure([[1]], class_names="a", domain_names="x")
banned = {"matplotlib.pyplot", "umap", "torch", "geometry", "experiments", "jinja2", "sklearn"}
print(sorted(banned & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_report_needs_no_matplotlib():
    code = "import sys, figures.report; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_long_names_that_begin_alike_stay_apart():
    names = [f"Northern_spotted_woodpecker_{kind}" for kind in ("male", "female", "young")]
    for most in (12, 16, 17):
        short = [style.shorten(name, most) for name in names]
        assert len(set(short)) == 3
        assert {len(name) for name in short} == {most}
    assert style.shorten("x" * 16) == "x" * 16
