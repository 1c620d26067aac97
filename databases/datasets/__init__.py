"""Datasets: one's own labelled images as a Task, whatever form they come in."""
