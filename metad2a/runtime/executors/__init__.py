"""EXECUTORS: where independent jobs run."""
