"""What a miner earns, said with date, source and status."""
