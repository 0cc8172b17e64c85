"""The report: what a reader must find in it, and that it stands alone, is well formed and is the
same each time.
"""

import base64
import json
import shlex
from html.parser import HTMLParser

import pytest

from configs.degradation import get_config
from deepseq.lab import report

QUESTION = """Does a deeper plain net train worse, and do residual connections cure it?

He et al. found that a 56-layer plain net ends with a higher training error than a 20-layer one,
although the deeper net could copy the shallower & add identity layers.

    net         depth
    <residual>  20, 56
"""
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 8"><path id="a" d="M0 0C3 7 9 8 20'
    ' 8"/></svg>'
)
CAPTION = "Training error (thin) & test error (bold) against iterations."
VOID = {"meta", "link", "img"}
CLAIMS = [  # id, claim, verdict, measured, interval, n
    (
        "C-R1a",
        (
            "A 56-layer plain net ends with a higher training error than a 20-layer one: it is"
            " optimisation."
        ),
        "holds",
        {"plain-20": 0.0, "plain-56": 77.12345, "difference": 77.12345},
        (68.81, 85.43),
        5,
    ),
    (
        "C-R1b",
        (
            "With residual connections the deeper net is not harmed: the degradation is the plain"
            " nets'."
        ),
        "holds",
        {"plain: deep minus shallow": 1.8312, "residual: deep minus shallow": -0.0213},
        (1.5127, 2.1923),
        5,
    ),
    (
        "C-R2",
        (
            "Degradation is vanishing gradient: in plain-56, with BN, the gradient dies on its way"
            " down."
        ),
        "refuted",
        {"worst look, log10": -0.3174, "the same without BN": 4.61e-11},
        (-0.41, -0.2248),
        5,
    ),
    (
        "C-R3",
        "Deep nets fail by overfitting",
        "refuted",
        {"in the gap": 0.0312},
        (-0.0661, -0.0021),
        5,
    ),
    (
        "C-R4",
        "A plain-56 as good exists: plain-20 & identity layers.",
        "holds",
        {"largest": 1.2e-7},
        None,
        5,
    ),
    ("C-R6", "A block learns H(x) − x", "holds", {"largest |H − x|": 0.0}, None, 1),
    (
        "C-R7",
        "Skip connections ease convergence.",
        "undecided",
        {"plain": 132, "ResNet": 33},
        (-3.2071, 25.2071),
        5,
    ),
    ("C-R8", "x_L = x_1 + Σ F(x_i)", "holds", {"before": 1.31e-7, "after <ReLU>": 0.4127}, None, 1),
    ("C-R11 (depth)", "Deeper nets respond less.", "undecided", {"slope": None}, (None, None), 5),
    (
        "C-R12",
        "The shortcuts add no parameters.",
        "holds",
        {"plain-20": 269722, "ResNet-20": 269722.0},
        None,
        1,
    ),
]
COMPARISON = [  # quantity, unit, paper, source, ours, interval, n, remark
    (
        "Test error, ResNet-20",
        "%",
        8.75,
        "He et al. 2015, Table 6",
        8.4312,
        [8.1921, 8.6703],
        5,
        "last iteration",
    ),
    ("Test error, plain-56", "%", None, "Figure 6 (left)", None, None, 0, None),
    ("Parameters, ResNet-56", "", 850000, "Table 6", 853018, None, 1, "0.85M in print"),
]
DEVIATIONS = [
    (
        "CIFAR-10, 32x32",
        "scikit-learn's digits, 8x8",
        "needs no download, and takes minutes on two cores",
    ),
    (
        "no warm-up below depth 110",
        "22 iterations at 0.01",
        "ResNet-56 is unstable at 0.1 on <2k images",
    ),
]


def a_result():
    """A degradation study's result.json, with everything that could go wrong in a table."""
    words = {
        "statistic": "training error of plain-56 minus plain-20, points, paired by seed",
        "criterion": "> 0",
        "prediction": "holds (“curves only”: the paper prints no number)",
        "source": "He et al. 2015, Figure 6 left <flagged>",
    }
    columns = "quantity", "unit", "paper", "source", "ours", "interval", "n", "remark"
    config = get_config("laptop")
    config.seeds = (0, 1, 2, 3, 4)
    config.train.learning_rate = 0.05
    result = {
        "experiment": "degradation",
        "tier": "laptop",
        "config": config.to_dict(),
        "seeds": config.seeds,
        "metrics": {},
        "claims": [
            dict(zip(("id", "claim", "verdict", "measured", "interval", "n"), row, strict=True))
            | words
            for row in CLAIMS
        ],
        "comparison": [dict(zip(columns, row, strict=True)) for row in COMPARISON],
        "deviations": [
            dict(zip(("paper", "here", "reason"), row, strict=True)) for row in DEVIATIONS
        ],
        "environment": {
            "python": "3.12.4",
            "jax": "0.12.0",
            "jaxlib": "0.12.0",
            "numpy": "2.3.1",
            "device": "a CPU",
            "cores": 2,
            "platform": "Linux-6.1-x86_64",
            "commit": None,
        },
        "wall_seconds": 278.4,
    }
    return json.loads(json.dumps(result))


class Page(HTMLParser):
    """Checks the nesting and keeps the text, the attributes and the table cells."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.text, self.rows = [], [], "", []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def values(self, *names):
        return [value for _, name, value in self.attributes if name in names]


def write(tmp_path, result, drawing=SVG, caption=CAPTION, question=QUESTION):
    path = tmp_path / "report.html"
    report.write(path, result, {"figure": (drawing, caption)}, question)
    return path.read_text(encoding="utf-8")


def test_a_reader_finds_every_claim_and_number(tmp_path):
    result = a_result()
    page = Page(write(tmp_path, result))
    rows = {row[0]: row for row in page.rows}
    for one in result["claims"]:
        _, verdict, words, measured, interval, n, prediction = rows[one["id"]]
        assert one[
            "verdict"
        ] in verdict and words == "{claim}{statistic}; claimed {criterion}".format(**one)
        assert all(
            name in measured and report.number(value) in measured
            for name, value in one["measured"].items()
        )
        assert interval == report.interval(one["interval"]) and n == str(one["n"])
        assert prediction == one["prediction"] + one["source"]
    assert (
        rows["C-R1a"][4] == "[68.8, 85.4]" and rows["C-R4"][4] == rows["C-R11 (depth)"][4] == "none"
    )
    assert rows["Test error, ResNet-20"][1:4] == [
        "8.75\u202f%",
        "8.43\u202f%",
        "[8.19, 8.67]\u202f%",
    ]
    assert rows["Test error, plain-56"][1:4] == ["not printed in the paper", "not measured", "none"]
    assert rows["Parameters, ResNet-56"][1:4] == ["850\u202f000", "853\u202f018", "none"]
    assert [list(row) for row in DEVIATIONS] == page.rows[-2:]
    for text in (
        "4 min 38 s",
        "Linux-6.1-x86_64",
        "learning_rate",
        "0.05",
        report.command(result),
        "<residual>",
    ):
        assert text in page.text


def test_the_order_is_question_answer_verdicts_figures_paper_deviations_config_run(tmp_path):
    text = Page(write(tmp_path, a_result())).text
    said = "Of 10 claims, 6 hold, 2 are refuted and 2 are undecided (digits, 5 seeds, laptop tier)."
    marks = [
        "laptop tier\nDoes a",
        said,
        "He et al. found",
        "Table 1.",
        "Figure 1.",
        "Table 2.",
        "Table 3.",
    ]
    marks += ["bn_momentum", "repeats it"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_it_stands_alone(tmp_path):
    html = write(tmp_path, a_result())
    page = Page(html)
    links = page.values("src", "href", "srcset", "data", "action", "poster")
    assert links and all(link.startswith("data:") for link in links)
    assert (
        "url(" not in html
        and "@import" not in html
        and "<script" not in html
        and "http:" not in html
    )
    assert len(page.values("id")) == len(set(page.values("id")))
    assert set(page.values("aria-labelledby")) <= set(page.values("id"))
    assert page.values("alt") == ["Figure 1. " + CAPTION]


def test_values_are_escaped(tmp_path):
    result, attack = a_result(), "</td><script>alert('1')</script>&amp;\"'"
    for text in ("claim", "statistic", "prediction", "source"):
        result["claims"][0][text] = attack
    result["claims"][0]["measured"] = {attack: 1.0}
    result["deviations"][0] = dict.fromkeys(result["deviations"][0], attack)
    result["config"][attack] = {attack: [attack]}
    result["environment"]["device"] = attack
    html = write(tmp_path, result, caption=attack, question=attack + "\n\n" + attack)
    assert "<script" not in html
    assert Page(html).text.count(attack) == 18  # the title and the command too


def test_equal_input_gives_equal_bytes_and_leaves_nothing_else(tmp_path):
    assert write(tmp_path, a_result()) == write(tmp_path, a_result())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path):
    before = write(tmp_path, a_result())
    with pytest.raises(FileNotFoundError):
        write(tmp_path, a_result(), tmp_path / "absent.svg")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError):
        report.write(tmp_path / "directory", a_result(), {}, QUESTION)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "report.html"]


def test_a_run_without_claims_figures_paper_or_sessions(tmp_path):
    result = a_result() | {"claims": [], "comparison": [], "deviations": [], "seeds": [0]}
    report.write(
        tmp_path / "a.html",
        result | {"environment": {}, "wall_seconds": None},
        {},
        "A question alone?",
    )
    text = Page((tmp_path / "a.html").read_text(encoding="utf-8")).text
    assert (
        "No claim was judged (digits, 1 seed, laptop tier)." in text
        and "This run has no figure." in text
    )


def test_a_heavy_svg_gives_way_to_the_png_beside_it(tmp_path):
    svg, png = tmp_path / "figure.svg", tmp_path / "figure.png"
    svg.write_text(SVG)
    png.write_bytes(b"\x89PNG...")
    inlined = f'src="data:image/svg+xml;base64,{base64.b64encode(SVG.encode()).decode()}"'
    assert inlined in write(tmp_path, a_result(), svg) and inlined in write(
        tmp_path, a_result(), SVG
    )
    svg.write_text(SVG + " " * report.LARGEST_SVG)
    for drawing in (svg, png):
        assert 'src="data:image/png;base64,' in write(tmp_path, a_result(), drawing)


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (0.7712345, "0.771"),
        (0.9996, "1.00"),
        (-0.0213, "−0.0213"),
        (8.75, "8.75"),
        (-12.345, "−12.3"),
        (999.6, "1000"),
        (1234.5, "1230"),
        (12345.6, "12\u202f300"),
        (1202, "1202"),
        (269722, "269\u202f722"),
        (-64000.0, "−64\u202f000"),
        (0.001, "0.00100"),
        (-1.2e-5, "−1.20\u202f×\u202f10⁻⁵"),
        (123456.7, "1.23\u202f×\u202f10⁵"),
        (float("nan"), "not a number"),
        (float("-inf"), "−∞"),
        (None, "none"),
    ],
)
def test_numbers_are_formatted_for_people(value, text):
    assert report.number(value) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.42, "0.420 s"),
        (42.4, "42 s"),
        (278.4, "4 min 38 s"),
        (3599.6, "1 h 0 min"),
        (93784, "26 h 3 min"),
        (None, "unknown"),
    ],
)
def test_times_are_formatted_for_people(seconds, text):
    assert report.duration(seconds) == text


@pytest.mark.parametrize(
    "verdicts, text",
    [
        ("holds holds", "All 2 claims hold"),
        ("holds", "Of 1 claim, 1 holds"),
        ("undecided undecided", "Of 2 claims, 2 are undecided"),
        ("refuted holds", "Of 2 claims, 1 holds and 1 is refuted"),
    ],
)
def test_the_answer_counts(verdicts, text):
    claims = [{"verdict": verdict} for verdict in verdicts.split()]
    assert (
        report.answer(a_result() | {"claims": claims}) == text + " (digits, 5 seeds, laptop tier)."
    )


def test_the_command_gives_what_differs_from_the_tier():
    base = "python -m experiments.run --config=configs/degradation.py:laptop"
    changed = [*base.split(), "--config.seeds=0,1,2,3,4", "--config.train.learning_rate=0.05"]
    assert shlex.split(report.command(a_result()).replace("\\\n", "")) == changed
    assert report.command(a_result() | {"config": get_config("laptop").to_dict()}) == base
    gone = {"name": "gone", "tier": "laptop", "data": {"name": "two words"}}
    command = report.command(a_result() | {"experiment": "gone", "config": gone})
    assert command.endswith("--config.data.name='two words'")


def test_the_markdown_table_has_a_row_for_every_claim():
    lines = report.verdict_markdown(a_result()).splitlines()
    assert len(lines) == 2 + len(CLAIMS) and all(
        line.replace("\\|", "").count("|") == 7 for line in lines
    )
    assert lines[2].startswith("| C-R1a | A 56-layer") and lines[2].endswith("| [68.8, 85.4] | 5 |")
    assert "| **refuted** |" in lines[4] and "\\|H − x\\|" in lines[7] and "&lt;ReLU>" in lines[9]
