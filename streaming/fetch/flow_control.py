"""Flow control whose resuming, when all flows already, changes nothing.

Leans on the insides of mode (``FlowControlEvent.resume``); ``tests/streaming/test_flow.py`` fails
when they move.
"""

from __future__ import annotations

from mode.utils.queues import FlowControlEvent


class FlowControl(FlowControlEvent):
    """Faust's flow control, for a flow that goes on in steps.

    After a rebalance the tasks that stay go on at once, and once more all resumes when the new ones
    are open. mode's own empties the agents' queues at each of those: batches that had come in
    between were lost until the next one showed the gap, and a quiet partition has no next one.
    """

    def resume(self) -> None:
        """Let the queues take what comes, and begin with none of what they had when suspended."""
        if not self.is_active():
            super().resume()
