"""Trains heads on stored features; see README.md."""
