"""Fit ease on the training ratings; run with spark-submit (arguments: --help)."""

from mfspark.cli import job

if __name__ == "__main__":
    job("train", only=("ease",))
