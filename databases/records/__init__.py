"""Measurements: what a record is, the store that keeps records, and the importers of published benchmarks."""
