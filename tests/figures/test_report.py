import base64
import json
import math
import re
from html.parser import HTMLParser

import pytest

from figures import counts, style
from figures.numbers import interval
from figures.report import Badge, Panel, Section, Table, number, render


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, and text by element."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._script = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def sections(pacs, tmp_path):
    _, png = style.save(counts.figure([[3, 1], [2, 0]], class_names="ab", domain_names="xy"), tmp_path / "counts")
    svg = tmp_path / "dot.svg"
    svg.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><circle cx="2" cy="2" r="1"/></svg>')
    return [
        Section(
            "Data & <script>alert(1)</script>",
            ["Counts by `setting`; a < b & c.", "An odd ` backtick."],
            [
                Panel(png, "Counts.", 'tailgeom counts --out "runs/demo" && true', 'A table of counts, "long-tailed"'),
                Panel(svg, "A dot.", "tailgeom dot", "A dot"),
            ],
            [
                Table(
                    "Accuracies",
                    ["model", "balanced", "few", "claim"],
                    [
                        ["ERM", {"estimate": 0.81234, "low": 0.7951, "high": 0.8302}, None, Badge("holds")],
                        ["NDCL", 0.5, math.nan, Badge("does not hold")],
                    ],
                    "tailgeom measure",
                )
            ],
            [Badge("undecided", "Confidence grows with distance.", "ρ = 0.1 [−0.1, 0.3]", "tailgeom check")],
        ),
        Section("Empty"),
    ]


def test_everything_is_inside_the_page(sections, tmp_path):
    output = render("T", "S", sections, tmp_path / "report.html", {})
    html = output.read_text(encoding="utf-8")
    page = Page(html)
    sources = [image["src"] for image in page.all("img")]
    assert len(sources) == 2
    assert base64.b64decode(sources[0].split(",")[1]) == (tmp_path / "counts.png").read_bytes()
    assert sources[1].startswith("data:image/svg+xml;base64,")
    assert not page.all("link")
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert "url(" not in html
    assert "@import" not in html
    assert [script["type"] for script in page.all("script")] == ["application/json"]
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "counts.png", "counts.pdf", "dot.svg"}


def test_text_is_escaped_and_commands_are_named(sections, tmp_path):
    html = render("T", "S", sections, tmp_path / "report.html", {}).read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "Counts by <code>setting</code>; a &lt; b &amp; c." in html
    assert "An odd ` backtick." in html
    commands = [re.sub("<[^>]+>", "", text) for text in re.findall(r'<code class="command">(.*?)</code>', html, re.S)]
    assert commands == [
        "tailgeom check",
        "tailgeom counts --out &#34;runs/demo&#34; &amp;&amp; true",
        "tailgeom dot",
        "tailgeom measure",
    ]
    assert all(image["alt"] for image in Page(html).all("img"))
    assert [a["href"] for a in Page(html).all("a")] == ["#section-1", "#section-2"]
    assert "Figure 2." in html
    assert "Table 1." in html


def test_cells_and_badges(sections, tmp_path):
    html = render("T", "S", sections, tmp_path / "report.html", {}).read_text(encoding="utf-8")
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", html)]
    assert cells == ["ERM", "0.812 [0.795, 0.830]", "–", "✓holds", "NDCL", "0.500", "–", "✗does not hold"]
    right = [tag.get("class") for tag in Page(html).all("th")]
    assert right == [None, "number", "number", None]
    assert "?</span>undecided" in html


def test_results_survive_the_page(sections, tmp_path):
    results = {"x": [1, None, 0.25], "</script><b>": "<!-- & \u2028 '\""}
    html = render("T", "S", sections, tmp_path / "report.html", results).read_text(encoding="utf-8")
    embedded = html.split('id="results">')[1].split("</script>")[0]
    assert json.loads(embedded) == results
    assert not set("<>&\u2028") & set(embedded)


def test_nothing_is_left_behind_when_it_fails(sections, tmp_path):
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        render("T", "S", sections, tmp_path / "report.html", {"x": math.nan})
    with pytest.raises(FileNotFoundError):
        render("T", "S", [Section("s", (), [Panel(tmp_path / "no.png", "", "", "")])], tmp_path / "report.html", {})
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        render("T", "S", [Section("s", (), [Panel(tmp_path / "a.pdf", "", "", "")])], tmp_path / "report.html", {})
    assert (tmp_path / "report.html").read_text() == "old"
    assert not list(tmp_path.glob(".report*"))


def test_bad_pieces_are_refused():
    with pytest.raises(ValueError, match="holds, does not hold, undecided"):
        Badge("maybe")
    with pytest.raises(ValueError, match="2 cells"):
        Table("t", ["a", "b"], [[1]])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((None, None, None), "–"),
        ((math.nan, 0.1, 0.2), "–"),
        ((0.5, None, None), "0.500"),
        ((-0.5, -0.75, -0.25), "−0.50 [−0.75, −0.25]"),
        ((0.041, 0.035, 0.047), "0.041 [0.035, 0.047]"),
        ((123.4, 100.2, 150.9), "123 [100, 151]"),
        ((1.0, 1.0, 1.0), "1.000 [1.000, 1.000]"),
        ((0.0, 0.0, 0.0), "0.000 [0.000, 0.000]"),
        ((2.5e7, 2.0e7, 3.0e7), "(2.5 [2.0, 3.0]) × 10⁷"),
        ((1.23e-5, None, None), "1.2 × 10⁻⁵"),
        ((7, None, None), "7"),
        ((math.inf, None, None), "∞"),
        ((-0.001, -0.02, 0.02), "−0.001 [−0.020, 0.020]"),
    ],
)
def test_numbers_are_as_precise_as_their_intervals(arguments, text):
    assert number(*arguments) == text


def test_intervals_are_read_from_what_json_holds():
    assert interval([1, 2, 3]) == (1.0, 2.0, 3.0)
    assert interval({"estimate": 1, "low": None, "level": 0.95})[0] == 1.0
    assert all(map(math.isnan, interval({"estimate": None})))
    with pytest.raises(ValueError, match="estimate"):
        interval({"value": 1})
    with pytest.raises(ValueError, match="2 numbers"):
        interval([1, 2])
