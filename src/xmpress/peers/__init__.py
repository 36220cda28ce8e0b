"""Baselines, and other ways to run our models, for `xmpress.benchmark` to measure. Needs torch."""
