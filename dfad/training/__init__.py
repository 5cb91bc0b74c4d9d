"""Training and evaluation under Lightning: configuration, data module, detectors, run folders."""
