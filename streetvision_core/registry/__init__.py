"""Versions, the gate that compares them, and the history of what served when and why.

Nothing is loaded here: the server imports `registry.versions` alone and must not pay for the statistics.
"""
