"""A rebuilt app uses the topics that its workers use, and never those of the old app."""

from __future__ import annotations

import pytest

from commands.rebuild import own_topic
from settings import load


@pytest.mark.parametrize("attribute", ["viral_topic", "dead_letter_topic"])
@pytest.mark.parametrize("old", ["reels", "reels-16"])
def test_default_names_follow_the_new_app_id(attribute: str, old: str) -> None:
    new = load({"REELS_APP_ID": "reels2"})
    assert own_topic(load({"REELS_APP_ID": old}), "reels2", attribute) == getattr(new, attribute)


def test_a_name_that_was_chosen_is_the_old_apps_and_gets_the_new_id() -> None:
    """Workers with the same settings would use the old name: the command names the variable."""
    old = load({"REELS_VIRAL_TOPIC": "hits"})
    assert own_topic(old, "reels2", "viral_topic") == "hits-reels2"


def test_a_rebuild_under_the_id_with_the_short_names_takes_them() -> None:
    old = load({"REELS_APP_ID": "reels2"})
    assert own_topic(old, "reels", "viral_topic") == "viral-videos"
