"""Measurements on real surveys; run them from the project's root, for example ``python -m benchmarks.baselines``."""
