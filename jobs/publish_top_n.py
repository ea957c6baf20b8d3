"""Refit, write the tables and publish them; run with spark-submit (arguments: --help)."""

from mfspark.cli import job

if __name__ == "__main__":
    job("publish")
