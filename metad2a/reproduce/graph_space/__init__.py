"""The graph search space against a flat list."""
