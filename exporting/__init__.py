"""Exports the metrics of all keys at one time from the committed tables to files."""
