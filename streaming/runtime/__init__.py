"""The worker: Faust's app, its start, its group membership, and its tasks during rebalances."""
