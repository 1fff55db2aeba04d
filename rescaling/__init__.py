"""Moves all tables of an app to another app id with another number of partitions."""
