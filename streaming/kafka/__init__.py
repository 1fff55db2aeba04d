"""Talks to brokers: clients, topics, records in batches, transactions. It knows no task."""
