"""Ratings to try things with: the embedded survey, planted structure, toys."""
