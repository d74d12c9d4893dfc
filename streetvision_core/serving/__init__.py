"""The serving flow: request, admission, cache, decode, batch, engine, verdict; metrics and query log beside it.

Nothing is loaded here: whoever only replays traffic must not pay for the server.
"""
