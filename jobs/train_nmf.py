"""Fit nmf on the training ratings; run with spark-submit (arguments: --help)."""

import sys

from mfspark.pipeline.request import run_job

if __name__ == "__main__":
    sys.exit(run_job("train", only=("nmf",)))
