"""The group's consumer: fetched batches, positions, flow control."""
