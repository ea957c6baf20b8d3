"""Find every user's nearest neighbors; run with spark-submit (arguments: --help)."""

from mfspark.cli import job

if __name__ == "__main__":
    job("similarity")
