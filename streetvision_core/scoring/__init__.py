"""Scores: metrics of a binary decision, their uncertainty, and the rules of the subnets that pay for it."""
