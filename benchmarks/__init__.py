"""tatamu's convolutions against torch's, layer by layer: `python -m benchmarks`."""
