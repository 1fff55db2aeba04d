"""Flow control whose ``resume`` changes nothing while the flow is active.

Depends on the internals of mode (``FlowControlEvent.resume``);
``tests/streaming/test_flow_control.py`` fails when they change.
"""

from __future__ import annotations

from mode.utils.queues import FlowControlEvent


class FlowControl(FlowControlEvent):
    """Faust's flow control, for a flow that resumes in two steps.

    After a rebalance, tasks that stay resume at once, and everything resumes when new tasks are
    open. mode's class empties the agents' queues at each step. Batches in between were lost until
    the next batch showed the gap, and a quiet partition has no next batch.
    """

    def resume(self) -> None:
        """Accept messages again, without those from before the suspension."""
        if not self.is_active():
            super().resume()
