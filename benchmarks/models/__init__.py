"""Whole models with tatamu's layers in place of torch's: `python -m benchmarks.models`."""
