"""The benchmark suite: figures for docs/performance.md, never a test. ``make bench`` runs it.

Each case is a module; :mod:`benchmarks.rig` has their tools.
"""
