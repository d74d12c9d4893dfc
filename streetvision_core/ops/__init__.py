"""Keeping it running: what this machine has and lacks, and the schedules that start the loop."""
