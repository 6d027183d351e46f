"""Data sets, imbalance settings, splits and batches: everything up to the pixels a model reads."""
