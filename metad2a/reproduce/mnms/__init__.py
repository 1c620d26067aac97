"""MNMS: one controller for many tasks."""
