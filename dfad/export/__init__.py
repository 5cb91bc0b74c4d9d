"""A detector as files that need no dfad: an ONNX graph from waveform to calibrated score, and weights with a JSON."""
