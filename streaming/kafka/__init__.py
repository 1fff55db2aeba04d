"""Communication with brokers: clients, topics, record batches, transactions. It knows no tasks."""
