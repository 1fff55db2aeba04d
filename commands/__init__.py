"""Subcommands of ``faust -A app``."""
