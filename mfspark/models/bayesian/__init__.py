"""Bayesian matrix factorization and what it draws."""
