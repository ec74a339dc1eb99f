"""Measuring convolutions: operands, a gate for results that are wrong, times, and the machine they are of."""
