"""The form of the hot path that runs, as operators see it."""

from __future__ import annotations

import pytest

import accelerator
from accelerator import AcceleratorError, is_wanted, start_lines
from monitoring import metrics


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "IS_BUILT", False)
    monkeypatch.setattr(
        accelerator,
        "REASON",
        "the compiled modules do not match this program's layouts: run make setup",
    )


def test_the_compiled_form_runs_without_a_warning() -> None:
    """There is no warning if the compiled form runs."""
    assert start_lines("auto") == ("compiled", None)


def test_the_plain_form_that_is_asked_for_is_no_fallback() -> None:
    """A deliberate choice of the plain form gives no warning."""
    assert start_lines("off") == ("plain", None)


@pytest.mark.usefixtures("unbuilt")
def test_a_fallback_is_warned_of_with_its_reason() -> None:
    """A stale build is noticed."""
    form, warning = start_lines("auto")
    assert form == "plain"
    assert warning is not None
    assert "do not match this program's layouts" in warning


@pytest.mark.usefixtures("unbuilt")
def test_without_a_build_on_ends_with_one_line() -> None:
    """It is an error if the compiled form is required but missing."""
    with pytest.raises(AcceleratorError, match=r"^REELS_ACCELERATOR.*program's layouts.*$"):
        is_wanted("on")


def test_build_info_says_which_form_runs() -> None:
    """Dashboards can distinguish compiled workers from plain ones."""
    metrics.set_build("plain")
    (sample,) = next(iter(metrics.build_info.collect())).samples
    assert sample.labels["accelerator"] == "plain"
