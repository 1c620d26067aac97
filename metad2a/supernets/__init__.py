"""Pretrained networks whose parts are networks too: made, kept and checked."""
