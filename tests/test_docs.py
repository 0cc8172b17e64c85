"""The hand-written pages agree with the results, and lead nowhere that is not there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CLAIMS = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
NOT_YET = "not yet"


def judged():
    """(id of a claim, its study) of every committed result."""
    for path in sorted((ROOT / "results").rglob("result.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        yield from ((claim["id"], result["experiment"]) for claim in result["claims"])


def base(id):
    """The id without the words that name a part of the claim."""
    return id.split(" ")[0]


def rows():
    """The last column of the page of claims, by id."""
    table = {}
    for line in CLAIMS.splitlines():
        if line.startswith("| ") and not line.startswith(("| Id", "| ---")):
            cells = line.strip("| ").split(" | ")
            assert len(cells) == 4 and all(cells), line
            for id in re.sub(r'<a id="[^"]*"></a>|\*', "", cells[0]).split("<br>"):
                assert id not in table
                table[id] = cells[3]
    return table


def test_every_claim_of_a_result_is_explained():
    anchors = re.findall(r'<a id="([^"]*)"></a>', CLAIMS)
    assert len(anchors) == len(set(anchors))
    assert {base(id) for id in rows()} == set(anchors)
    assert {base(id) for id, _ in judged()} <= set(anchors)


def test_every_claim_names_the_studies_that_judge_it_and_no_others():
    table, studies = rows(), {}
    for id, study in judged():
        studies.setdefault(id, set()).add(study)
        studies.setdefault(base(id), set()).add(study)
        assert f"[{study}]" in table.get(id, table[base(id)]), id
    for id, cell in table.items():
        named = set(re.findall(r"\[(\w+)\] \(", cell))
        assert named <= studies.get(id, set()), id
        assert named or cell == NOT_YET, id
        assert all((ROOT / "experiments" / study / "__init__.py").is_file() for study in named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    used = re.findall(r"\]\[([^\]]+)\]", text) + re.findall(r"\[(\w+)\] \(", text)
    assert set(used) == set(defined)
    for target in [*defined.values(), *re.findall(r"\]\(([^)]+)\)", text)]:
        file, _, place = target.partition("#")
        there = page if not file else page.parent / file
        assert target.startswith("https://") or there.exists(), target
        assert not place or f'id="{place}"' in there.read_text(encoding="utf-8"), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_cite_no_line_of_the_notes_and_no_mark_of_what_was_checked(page):
    text = page.read_text(encoding="utf-8")
    for id in {base(id) for id, _ in judged()}:
        text = text.replace(id, "")
    assert not re.findall(r"\bF\d:\d+", text)
    assert not re.findall(r"\bmem\b|✓|⚑", text)
