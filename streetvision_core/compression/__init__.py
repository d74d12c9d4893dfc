"""Smaller and faster copies of a model, kept only where they are faster and decide as the original does."""
