"""The search for whole pipelines."""
