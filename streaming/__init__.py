"""The stream engine: batches from Kafka to tasks, one transaction per worker per commit."""
