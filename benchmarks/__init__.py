"""Benchmarks: figures for docs/performance.md, never a test."""
