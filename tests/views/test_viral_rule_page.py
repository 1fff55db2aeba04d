"""docs/how-to/change-the-viral-rule.md is true: its settings, its files, its formula."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from accelerator.counters import LAYOUTS
from models import viral
from models.counters import VIDEO, VideoCounts
from models.viral import ViralRule
from setting_rules import rules_of
from settings import load
from streaming.tasks.outbox import Outbox
from streaming.tasks.processor import ProcessorContext
from tests.worker import ROOT
from topology import topology

if TYPE_CHECKING:
    from settings import Settings
    from streaming.tasks.processor import Processor
    from tests.views.conftest import MakeWorker, Worker
    from topology import TableEntry


PAGE = (ROOT / "docs/how-to/change-the-viral-rule.md").read_text()
NUMBERS, FORMULA = PAGE.split("## Its formula")
#: The same form as the worker of these tests.
PLAIN = {"REELS_ACCELERATOR": "off"}
COUNTS = ("2025-01-15T14:30:00Z", 3, 0, 3, 3)
#: The first column of the table, and the names in its second one.
STEPS = re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", FORMULA, re.MULTILINE)


def of_video(settings: Settings) -> TableEntry:
    (entry,) = (entry for entry in topology(settings) if entry.name == "video_metrics")
    return entry


def test_the_numbers_are_rules_that_all_workers_share() -> None:
    """Workers compare these numbers with each other."""
    named = set(re.findall(r"REELS_VIRAL_\w+", NUMBERS))
    assert named == {name for name in rules_of(load({})) if name.startswith("REELS_VIRAL_")}


async def test_another_number_is_the_rule_of_the_next_start(make_worker: MakeWorker) -> None:
    """Answers follow it; counters, windows and stored layout stay the same."""
    settings = [load({"REELS_VIRAL_MIN_VIEWS": views}) for views in ("1000", "3")]
    assert len({of_video(each).windows.slices for each in settings}) == 1
    found = []
    for views in ("1000", "3"):
        worker = await make_worker(REELS_VIRAL_MIN_VIEWS=views)
        await worker.open()
        worker.put_video(7, COUNTS)
        answer = (await worker.ask("/videos/7")).json
        batch = (await worker.ask("/videos?ids=7")).json["videos"]
        assert batch == [answer]
        found.append((answer.pop("viral"), answer))
    (before, same), (after, also) = found
    assert (before, after) == (False, True)
    assert same == also


async def reopened(worker: Worker, views: str) -> tuple[Processor, Outbox]:
    """Return the processor of a partition that is opened with another rule, and its outbox."""
    state = worker.videos.state(7)
    state.freeze()
    state.post_commit(1)
    await state.flush()
    settings, outbox = load({"REELS_VIRAL_MIN_VIEWS": views, **PLAIN}), Outbox()
    context = ProcessorContext(worker.videos.partition(7), state, outbox, "changelog", 1)
    processor = of_video(settings).make_processor(context)
    processor.reset_to_committed()
    return processor, outbox


@pytest.mark.parametrize(("views", "flags"), [("3", [True]), ("1000", [])])
async def test_videos_are_judged_as_soon_as_their_partition_is_open(
    worker: Worker, views: str, flags: list[bool]
) -> None:
    """Without any event: a video that was not viral by the previous rule is flagged."""
    worker.put_video(7, COUNTS)
    processor, outbox = await reopened(worker, views)
    if processor.has_pending():
        processor.prepare()
    sent = [record for records in outbox.take().values() for record in records]
    assert [
        record.key == b"7" and b'"video_id":7' in (record.value or b"") for record in sent
    ] == flags


@pytest.mark.parametrize(("views", "values"), [("1000", [None]), ("3", [])])
async def test_a_flag_ends_by_a_rule_that_the_video_does_not_meet(
    worker: Worker, views: str, values: list[None]
) -> None:
    """This also happens as soon as the partition is open."""
    worker.put_video(7, COUNTS)
    state, windows = worker.videos.state(7), worker.video_windows
    state.dirty[b"7"] = windows.with_detected_at(state.get(b"7"), 5)
    processor, outbox = await reopened(worker, views)
    assert processor.has_pending()
    processor.prepare()
    sent = [record for records in outbox.take().values() for record in records]
    assert [record.value for record in sent if record.value is None] == values
    assert (windows.detected_at(state.get(b"7")) == 0) == bool(values)


@pytest.mark.parametrize(("files", "names"), STEPS)
def test_what_a_step_names_is_in_its_files(files: str, names: str) -> None:
    """Each name is in at least one of the files."""
    texts = [(ROOT / file).read_text() for file in _files(files)]
    for name in re.findall(r"`([A-Za-z_.]+)`", names):
        assert any(name.rpartition(".")[2] in text for text in texts), name


def _files(cell: str) -> list[str]:
    return re.findall(r"`([a-z_/]+\.pyx?)`", cell)


def test_the_counters_that_the_rule_names_are_those_that_it_reads() -> None:
    """So the layouts' text, which both forms share, changes with the formula."""
    rule = ViralRule(1.0, 0)
    base = dict.fromkeys(VIDEO.counters, 0) | {"views": 10, "comments": 5, "shares": 5}
    plain = VideoCounts(0, 0, **base)
    read = {
        name
        for name in VIDEO.counters
        if (more := plain._replace(**{name: base[name] + 1})).viral_coefficient != 1
        or rule.is_viral(more)
    }
    assert read == {"views", *viral.REACTIONS}
    assert f"viral: ({' + '.join(viral.REACTIONS)}) / views" in LAYOUTS.splitlines()


def test_the_files_of_the_page_are_there() -> None:
    """They include the tests that fail if only one form is changed."""
    files = set(_files(FORMULA))
    assert {file for file in files if not (ROOT / file).is_file()} == set()
    assert {file for file in files if file.startswith("tests/accelerator/")} != set()
