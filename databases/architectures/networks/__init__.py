"""Trainable networks; torch and plain values only, so that an export can hold their source."""
