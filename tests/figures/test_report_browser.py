"""The report in a real browser: nothing complains on the console and every image is there."""

import re
import shutil
import subprocess

import pytest

from figures import bound_terms, gram, style
from figures.report import Badge, Panel, Section, Table, render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome on PATH to open the report in"
)

COUNT_IMAGES = """<script>
addEventListener("load", () => {
  const images = [...document.images];
  document.title = `loaded ${images.filter(i => i.complete && i.naturalWidth > 0).length} of ${images.length}`;
  const results = JSON.parse(document.getElementById("results").textContent);
  if (results.sign !== "<\\/script>") console.error("results differ");
});
</script></body>"""


def browse(page, profile):
    """Open a page; return its document after loading and the lines of its console."""
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
            "--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}", "--virtual-time-budget=5000",
            "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_script(html):
    """A copy of the page that may run the script that counts its images."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    assert free != html
    return free.replace("</body>", COUNT_IMAGES)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    data = {"ERM": {"learned": [[1, 0], [0, 1]], "optimal": [[1, -1], [-1, 1]]}}
    _, first = style.save(gram.figure(data, class_names="ab"), folder / "gram")
    _, second = style.save(bound_terms.figure({"ERM": {"risk": 0.1}}), folder / "bound")
    third = folder / "dot.svg"
    third.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>')
    panels = [Panel(path, "A picture.", "tailgeom compare", "A picture") for path in (first, second, third)]
    tables = [Table("Numbers", ["a", "b"], [["x", 1.0], ["y", None]])]
    sections = [Section("One", ["Text."], panels, tables, [Badge("holds", "It holds.", "0.9")]), Section("Two")]
    return render("Report", "of a test", sections, folder / "report.html", {"sign": "</script>"})


def test_the_console_stays_silent(report, tmp_path):
    document, console = browse(report, tmp_path / "profile")
    assert "A picture." in document
    assert console == []


def test_every_image_is_loaded(report, tmp_path):
    copy = tmp_path / "copy.html"
    copy.write_text(with_script(report.read_text(encoding="utf-8")), encoding="utf-8")
    document, console = browse(copy, tmp_path / "profile")
    assert "<title>loaded 3 of 3</title>" in document
    assert console == []


def test_a_broken_image_and_an_error_would_be_seen(report, tmp_path):
    html = with_script(report.read_text(encoding="utf-8")).replace(
        "data:image/png;base64,iVBOR", "data:image/png;base64,AAAA", 1
    )
    copy = tmp_path / "copy.html"
    copy.write_text(html.replace("<h1>", '<script>console.error("seen")</script><h1>'), encoding="utf-8")
    document, console = browse(copy, tmp_path / "profile")
    assert "<title>loaded 2 of 3</title>" in document
    assert any("seen" in line for line in console)
