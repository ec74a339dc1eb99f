"""Geometry, dtype and machine in; machine code out. Nothing below this package imports torch."""
