"""Tasks: queue, processors, memory budget and outbox of one partition number."""
