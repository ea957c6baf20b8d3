"""Kernels of neighbor models."""
