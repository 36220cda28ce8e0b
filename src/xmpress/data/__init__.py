"""Feedback in: readers and writers, data configs, splits, checks."""
