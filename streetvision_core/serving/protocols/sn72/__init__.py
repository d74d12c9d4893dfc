"""Subnet 72's wire protocol, `POST /ImageSynapse`, as the dendrites of bittensor 9 and 10 speak it.

The public server ("axon") is not used. One query passes, in this order: byte cap, headers, signature and nonce, permit,
rate limit, body, and only then the decoder. No private key and no chain SDK is loaded here.
"""
