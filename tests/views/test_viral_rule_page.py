"""docs/how-to/change-the-viral-rule.md says what is so: its settings, its files, its formula."""

from __future__ import annotations

import re

import pytest

from accelerator.counters import LAYOUTS
from models import viral
from models.counters import VIDEO, VideoCounts
from models.viral import ViralRule
from models.windows import parse_duration
from setting_rules import rules_of
from settings import load
from tests.worker import ROOT
from topology import topology

PAGE = (ROOT / "docs/how-to/change-the-viral-rule.md").read_text()
NUMBERS, FORMULA = PAGE.split("## Its formula")
#: The first column of the table, and the names in its second one.
STEPS = re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", FORMULA, re.MULTILINE)


def of_video(settings):
    (entry,) = (entry for entry in topology(settings) if entry.name == "video_metrics")
    return entry


def test_the_numbers_are_rules_that_all_workers_share():
    """Workers with different ones say so."""
    named = set(re.findall(r"REELS_VIRAL_\w+", NUMBERS))
    assert named == {name for name in rules_of(load({})) if name.startswith("REELS_VIRAL_")}


async def test_another_number_is_the_rule_of_the_next_start(make_worker):
    """Answers go by it; counters, windows and stored layout stay."""
    settings = [load({"REELS_VIRAL_MIN_VIEWS": views}) for views in ("1000", "3")]
    assert len({of_video(each).windows.slices for each in settings}) == 1
    counts = ("2025-01-15T14:30:00Z", 3, 0, 3, 3)
    found = []
    for views in ("1000", "3"):
        worker = await make_worker(REELS_VIRAL_MIN_VIEWS=views)
        await worker.open()
        worker.put_video(7, counts)
        answer = (await worker.ask("/videos/7")).json
        batch = (await worker.ask("/videos?ids=7")).json["videos"]
        assert batch == [answer]
        found.append((answer.pop("viral"), answer))
    (before, same), (after, also) = found
    assert (before, after) == (False, True)
    assert same == also


def test_videos_are_judged_at_each_step_of_the_rolling_window():
    """That is the time within which a new rule shows."""
    settings = load({"REELS_VIDEO_STEP": "10m"})
    assert "`REELS_VIDEO_STEP`" in NUMBERS
    assert of_video(settings).windows.slices.step == parse_duration("10m")


@pytest.mark.parametrize(("files", "names"), STEPS)
def test_what_a_step_names_is_in_its_files(files, names):
    """A name may be in any of them."""
    texts = [(ROOT / file).read_text() for file in _files(files)]
    for name in re.findall(r"`([A-Za-z_.]+)`", names):
        assert any(name.rpartition(".")[2] in text for text in texts), name


def _files(cell: str) -> list[str]:
    return re.findall(r"`([a-z_/]+\.pyx?)`", cell)


def test_the_counters_that_the_rule_names_are_those_that_it_reads():
    """So the layouts' text, which both forms share, tells of another formula."""
    rule = ViralRule(1.0, 0)
    base = dict.fromkeys(VIDEO.counters, 0) | {"views": 10, "comments": 5, "shares": 5}
    plain = VideoCounts(0, 0, **base)
    read = {
        name
        for name in VIDEO.counters
        if rule.coefficient_of(more := plain._replace(**{name: base[name] + 1})) != 1
        or rule.is_viral(more)
    }
    assert read == {"views", *viral.REACTIONS}
    assert f"viral: ({' + '.join(viral.REACTIONS)}) / views" in LAYOUTS.splitlines()


def test_the_files_of_the_page_are_there():
    """Tests that fail by half a change among them."""
    files = set(_files(FORMULA))
    assert {file for file in files if not (ROOT / file).is_file()} == set()
    assert {file for file in files if file.startswith("tests/accelerator/")} != set()
