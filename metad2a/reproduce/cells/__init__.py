"""Cells understood (Shu, Wang, Cai, 2020): width, depth, and what they go with."""
