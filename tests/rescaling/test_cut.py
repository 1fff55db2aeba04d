"""The properties of a moved table follow from all of its partitions."""

from __future__ import annotations

from rescaling.cut import Cut, Part

FED = frozenset({"creator_metrics"})


def cut(*parts: Part) -> Cut:
    return Cut({"table": list(parts)}, {}, 0)


def test_a_table_was_fed_when_all_partitions_that_counted_fed_it() -> None:
    """A partition without counts is ignored; one that has counts and fed nothing decides."""
    assert cut(Part(5, {}, FED), Part(None, {})).feeds("table") == FED
    assert cut(Part(5, {}, FED), Part(6, {})).feeds("table") == frozenset()
    assert cut(Part(None, {})).feeds("table") == frozenset()


def test_all_is_counted_from_where_the_last_of_the_partitions_counts_all() -> None:
    """A key of any old partition may be in a new one."""
    assert cut(Part(5, {}), Part(5, {}, complete_from=7)).complete_from("table") == 7
    assert cut(Part(5, {}), Part(5, {})).complete_from("table") == 0
