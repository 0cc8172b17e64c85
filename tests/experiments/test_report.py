"""The report: what a reader must find in it, and that it stands alone, is well formed and is the same each time."""

import base64
import json
import shlex
from html.parser import HTMLParser

import pytest
from experiments import report
from experiments.verdicts import claim

from configs.degradation import get_config

QUESTION = """Does a deeper plain net train worse, and do residual connections cure it?

He et al. found that a 56-layer plain net ends with a higher training error than a 20-layer one,
although the deeper net could copy the shallower & add identity layers.

    net         depth
    plain       20, 56
    <residual>  20, 56
"""
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="288" viewBox="0 0 720 288"><rect width="720" height="288"'
    ' fill="#fff"/><g fill="none" stroke-width="2"><path id="a" stroke="#0072b2" d="M60 30C150 220 220 240 340 250M400 30'
    'C450 180 520 245 690 256"/><path stroke="#d55e00" d="M60 24C150 60 220 120 340 96M400 26C450 190 520 250 690 252"/>'
    '<path stroke="#333" stroke-width="1" d="M60 20V260H345M400 20V260H695"/></g><g font-family="sans-serif" font-size="14">'
    '<text x="180" y="16">plain</text><text x="530" y="16">residual</text></g></svg>'
)
VOID = {"meta", "link", "img", "br", "hr", "input"}


def a_claim(id, words, verdict, measured, interval, n=5, **other):
    texts = {"statistic": "the mean over seeds, at the last iteration", "expected": "> 0", "source": "He et al. 2015, Figure 6"}
    return claim(id, words, verdict, measured=measured, interval=interval, n=n, **texts | other)


def a_result():
    """A degradation study's result.json, with everything that could go wrong in a table."""
    claims = [
        a_claim(
            "C-R1a",
            "A 56-layer plain net has a higher training error than a 20-layer one: optimisation, not overfitting",
            "holds",
            {"plain-56": 0.7712345, "plain-20": 0.0, "difference": 0.7712345},
            (0.6881, 0.8543),
            statistic="plain-56 minus plain-20 training error at the last iteration, paired by seed",
        ),
        a_claim(
            "C-R1b",
            "The residual pair does not degrade",
            "holds",
            {"plain pair": 1.8312, "residual pair": -0.0213, "difference of differences": 1.8525},
            (1.5127, 2.1923),
            statistic="(plain-56 minus plain-20) minus (ResNet-56 minus ResNet-20), training loss, paired by seed",
        ),
        a_claim(
            "C-R2",
            "The degradation is the vanishing of gradients",
            "refuted",
            {"first over last layer, with BN": 2.3174, "first over last layer, without BN": 4.61e-11},
            (1.9021, 2.7327),
            statistic="gradient norm of the first 3x3 layer over that of the last, plain-56, below config.measure.vanished",
            expected="with BN: above 0.001 (“healthy norms”), and so refuted",
            source="He et al. 2015, section 4.1; notes F0:325 <flagged>",
        ),
        a_claim(
            "C-R3",
            "Deep nets fail by overfitting",
            "refuted",
            {"gap_plain_56": 0.0312, "gap_plain_20": 0.0487},
            (-0.0661, -0.0021),
            expected="the gap does not explain it: training error is up",
        ),
        a_claim(
            "C-R4",
            "A deeper plain net could copy the shallow one with identity layers",
            "holds",
            {"loss difference": 0.0, "trained minus constructed": 1.7123},
            (1.4018, 2.0228),
            expected="equal within 0.0001",
            source="He et al. 2015, section 1",
        ),
        a_claim("C-R6", "A block learns H(x) − x", "holds", {"largest |H − x|": 0.0}, None, n=1, expected="0, exactly"),
        a_claim(
            "C-R7",
            "Shortcuts let gradients flow & ease convergence",
            "undecided",
            {"iterations, ResNet-20": 33, "iterations, plain-20": 44},
            (-3.2071, 25.2071),
        ),
        a_claim("C-R8", "x_L = x_1 + Σ F(x_i)", "holds", {"pre-activation": 1.31e-7, "post-ReLU": 0.4127}, None, n=1),
        a_claim(
            "C-R11", "Residuals tend to 0 as training proceeds", "undecided", {"slope": 1.2e-5}, None, n=1, statistic="slope | step"
        ),
        a_claim("C-R12", "The shortcut adds no parameters", "holds", {"plain-20": 269722, "ResNet-20": 269722.0}, None, n=1),
    ]
    comparison = [
        {"quantity": "Test error, ResNet-20", "unit": "%", "paper": 8.75, "source": "He et al. 2015, Table 6", "ours": 8.4312,
         "interval": [8.1921, 8.6703], "n": 5, "remark": "last iteration; never chosen by the test set"},
        {"quantity": "Test error, plain-56", "unit": "%", "paper": None, "source": "Figure 6 (left)", "ours": None,
         "interval": None, "n": 0, "remark": None},
        {"quantity": "Parameters, ResNet-56 (A)", "unit": "", "paper": 850000, "source": "Table 6", "ours": 853018,
         "interval": None, "n": 1, "remark": "0.85M in print"},
    ]  # fmt: skip
    deviations = [
        {"paper": "CIFAR-10, 32x32", "here": "scikit-learn's digits, 8x8", "reason": "needs no download; minutes on two cores"},
        {"paper": "no warm-up below depth 110", "here": "22 iterations at 0.01", "reason": "ResNet-56 is unstable at 0.1 on <2k images"},
    ]  # fmt: skip
    environment = {"python": "3.12.4", "jax": "0.12.0", "jaxlib": "0.12.0", "numpy": "2.3.1", "device": "cpu", "cores": 2,
                   "platform": "Linux-6.1-x86_64", "commit": None}  # fmt: skip
    config = get_config("laptop")
    config.seeds = (0, 1, 2, 3, 4)
    config.train.learning_rate = 0.05
    result = {
        "experiment": "degradation", "tier": "laptop", "config": config.to_dict(), "seeds": [0, 1, 2, 3, 4], "metrics": {},
        "claims": claims, "comparison": comparison, "deviations": deviations, "environment": environment, "wall_seconds": 278.4,
    }  # fmt: skip
    return json.loads(json.dumps(result))


class Page(HTMLParser):
    """Checks the nesting and keeps the text, the attributes and the table cells."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.text, self.rows, self.ids = [], [], "", [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        self.rows += [[]] if tag == "tr" else []
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def write(tmp_path, result, figures=None, question=QUESTION):
    path = tmp_path / "report.html"
    report.write(path, result, {"figure": (SVG, "Training error, thin & test error, bold.")} if figures is None else figures, question)
    return path.read_text(encoding="utf-8")


def test_a_reader_finds_every_claim_its_verdict_and_the_run(tmp_path):
    result = a_result()
    page = Page(write(tmp_path, result))
    rows = {row[0]: row for row in page.rows}
    for one in result["claims"]:
        row = rows[one["id"]]
        assert one["verdict"] in row[1]
        assert one["claim"] in row[2] and one["statistic"] in row[2]
        assert row[4] == report.interval(one["interval"])
        assert one["expected"] in row[6] and one["source"] in row[6]
    assert rows["C-R1a"][4] == "[0.688, 0.854]"
    assert "4.61\u202f×\u202f10⁻¹¹" in rows["C-R2"][3] and "269\u202f722" in rows["C-R12"][3]
    assert rows["Test error, plain-56"][1:4] == ["not printed in the paper", "not measured", "none"]
    assert rows["Test error, ResNet-20"][1:4] == ["8.75\u202f%", "8.43\u202f%", "[8.19, 8.67]\u202f%"]
    assert all(row["reason"] in page.text for row in result["deviations"])
    assert "Of 10 claims, 6 hold, 2 are refuted and 2 are undecided (digits, 5 seeds, laptop tier)." in page.text
    assert "4 min 38 s" in page.text and "Linux-6.1-x86_64" in page.text and "learning_rate" in page.text


def test_the_order_is_question_answer_verdicts_figures_paper_deviations_config_run(tmp_path):
    text = Page(write(tmp_path, a_result())).text.split("\nDoes a deeper")[1]  # after the title
    marks = "cure it?", "Of 10 claims", "He et al. found", "Table 1.", "Figure 1.", "Table 2.", "Table 3.", "bn_momentum", "repeats it"
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_it_stands_alone(tmp_path):
    page = Page(write(tmp_path, a_result()))
    links = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert links and all(link.startswith("data:") for link in links)
    style = (tmp_path / "report.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "script" not in {tag for tag, *_ in page.attributes}
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert [value for _, name, value in page.attributes if name == "alt"] == ["Figure 1. Training error, thin & test error, bold."]


def test_values_are_escaped(tmp_path):
    result = a_result()
    attack = "</td><script>alert('1')</script>&amp;\"'"
    for text in ("id", "claim", "statistic", "expected", "source"):
        result["claims"][0][text] = attack
    result["claims"][0]["measured"] = {attack: 1.0}
    result["deviations"][0] = dict.fromkeys(result["deviations"][0], attack)
    result["config"][attack] = {attack: [attack]}
    result["environment"]["device"] = attack
    html = write(tmp_path, result, {"figure": (SVG, attack)}, attack + "\n\n" + attack)
    page = Page(html)
    assert "<script" not in html and "script" not in page.open
    assert page.text.count(attack) >= 14
    assert "<residual>" in Page(write(tmp_path, a_result())).text


def test_equal_input_gives_equal_bytes_and_leaves_nothing_else(tmp_path):
    assert write(tmp_path, a_result()) == write(tmp_path, a_result())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path):
    before = write(tmp_path, a_result())
    with pytest.raises(FileNotFoundError):
        write(tmp_path, a_result(), {"figure": (tmp_path / "absent.svg", "")})
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before
    (tmp_path / "a directory").mkdir()
    with pytest.raises(OSError):
        report.write(tmp_path / "a directory", a_result(), {}, QUESTION)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a directory", "report.html"]


def test_a_run_without_claims_figures_or_paper(tmp_path):
    result = a_result() | {"claims": [], "comparison": [], "deviations": [], "seeds": [0]}
    text = Page(write(tmp_path, result, {}, "A question alone?")).text
    assert "No claim was judged (digits, 1 seed, laptop tier)." in text and "This run has no figure." in text


def test_figures_come_as_files_and_a_heavy_svg_gives_way_to_its_png(tmp_path):
    svg, png = tmp_path / "figure.svg", tmp_path / "figure.png"
    svg.write_text(SVG)
    png.write_bytes(b"\x89PNG...")
    embedded = "data:image/svg+xml;base64," + base64.b64encode(SVG.encode()).decode()
    assert f'src="{embedded}"' in write(tmp_path, a_result(), {"figure": (svg, "")})
    svg.write_text(SVG + " " * report.LARGEST_SVG)
    assert 'src="data:image/png;base64,' in write(tmp_path, a_result(), {"figure": (svg, "")})


@pytest.mark.parametrize(
    "value, text",
    [(0.0, "0"), (-0.0, "0"), (0.7712345, "0.771"), (0.9996, "1.00"), (0.1, "0.100"), (8.75, "8.75"), (-0.0213, "−0.0213"),
     (1.0, "1.00"), (-12.345, "−12.3"), (999.6, "1000"), (1234.5, "1230"), (12345.6, "12\u202f300"), (269722, "269\u202f722"),
     (64000.0, "64\u202f000"), (1202, "1202"), (0.001, "0.00100"), (0.0009999, "1.00\u202f×\u202f10⁻³"),
     (-1.2e-5, "−1.20\u202f×\u202f10⁻⁵"), (1.5e10, "1.50\u202f×\u202f10¹⁰"), (float("nan"), "not a number"),
     (float("-inf"), "−∞"), (None, "none"), ("nan", "nan"), (True, "True")],
)  # fmt: skip
def test_numbers_are_formatted_for_people(value, text):
    if value == 0.0009999:
        text = "0.00100"  # three figures round it up to a thousandth
    assert report.number(value) == text


@pytest.mark.parametrize(
    "seconds, text", [(0.42, "0.420 s"), (9.99, "9.99 s"), (42.4, "42 s"), (278.4, "4 min 38 s"), (3599.6, "1 h 0 min"), (93784, "26 h 3 min")]
)
def test_times_are_formatted_for_people(seconds, text):
    assert report.duration(seconds) == text


def test_the_sentence_counts():
    def said(*verdicts):
        return report.answer(a_result() | {"claims": [{"verdict": verdict} for verdict in verdicts], "seeds": [0]}).split(" (")[0]

    assert said("holds", "holds") == "All 2 claims hold"
    assert said("holds") == "Of 1 claim, 1 holds"
    assert said("refuted", "holds") == "Of 2 claims, 1 holds and 1 is refuted"
    assert said("undecided", "undecided") == "Of 2 claims, 2 are undecided"


def test_the_command_gives_what_differs_from_the_tier():
    assert shlex.split(report.command(a_result())) == [
        *"python -m experiments.run --config=configs/degradation.py:laptop".split(),
        "--config.seeds=0,1,2,3,4",
        "--config.train.learning_rate=0.05",
    ]  # fmt: skip
    plain = a_result() | {"config": json.loads(json.dumps(get_config("laptop").to_dict()))}
    assert report.command(plain) == "python -m experiments.run --config=configs/degradation.py:laptop"
    gone = a_result() | {"experiment": "gone", "config": {"name": "gone", "tier": "laptop", "data": {"name": "two words"}}}
    assert shlex.split(report.command(gone))[-1] == "--config.data.name=two words"


def test_the_markdown_table_has_a_row_for_every_claim():
    result = a_result()
    lines = report.verdict_markdown(result).splitlines()
    assert len(lines) == 2 + len(result["claims"])
    assert lines[2].startswith("| C-R1a | A 56-layer plain net") and "| **holds** |" in lines[2] and "[0.688, 0.854] | 5 |" in lines[2]
    assert "\\|H − x\\|" in lines[7]
    assert all(line.replace("\\|", "").count("|") == 7 for line in lines)
