"""Benchmarks: each prints ratios of things measured side by side in one run, as machines are shared and noisy."""
