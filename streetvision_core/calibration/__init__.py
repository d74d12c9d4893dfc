"""Turns scores into probabilities, certified exits and the decision threshold; see README.md."""
