"""Turns scores into probabilities, certified exits and the paid threshold; see README.md."""
