"""Faust extended: batches as messages, one transaction a task, recovery by batches."""
