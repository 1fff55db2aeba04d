"""HTTP routes of a worker: keys of the tables, health, metrics, overview and the dashboard."""
