"""Monitoring of a worker: Prometheus metrics, and alert rules and dashboards based on them."""
