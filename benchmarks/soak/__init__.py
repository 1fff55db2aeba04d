"""Soak: hours of load on two workers, one of which restarts and is killed; then an audit."""
