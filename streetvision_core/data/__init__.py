"""Data: the feature table, its sources and splits, the starter pack and the rendered street world."""
