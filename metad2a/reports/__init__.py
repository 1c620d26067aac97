"""Figures, drawings and tables of results."""
