"""Resuming a flow that is not paused loses no messages."""

from __future__ import annotations

from mode.utils.queues import FlowControlQueue

import app as program
from streaming.fetch.flow_control import FlowControl


def test_what_came_since_the_flow_went_on_is_kept_when_it_is_resumed_once_more() -> None:
    flow = FlowControl()
    queue = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    flow.resume()
    queue.put_nowait("a batch")
    flow.resume()
    assert queue.get_nowait() == "a batch"


def test_what_was_left_when_the_flow_was_suspended_is_dropped_when_it_goes_on() -> None:
    flow = FlowControl()
    queue = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    flow.resume()
    queue.put_nowait("fetched before the rebalance")
    flow.suspend()
    flow.resume()
    assert queue.empty()


def test_the_agents_queues_are_the_flow_controls_of_the_app() -> None:
    assert isinstance(program.app.flow_control, FlowControl)
    assert program.app.FlowControlQueue(maxsize=1)._flow_control is program.app.flow_control
