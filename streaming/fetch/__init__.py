"""From the group's consumer to the agents: fetched batches, positions asked, flow control."""
