"""Kernels of factor models."""
