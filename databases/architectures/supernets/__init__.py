"""Pretrained networks whose slices are the ordinary networks of a space."""
