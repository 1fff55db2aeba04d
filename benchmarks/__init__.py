"""The benchmark suite: figures for docs/performance.md, never a test. ``make bench`` runs it.

A module a case, and in :mod:`benchmarks.rig` what they measure with.
"""
