"""Refit, write the tables and publish them; run with spark-submit (arguments: --help)."""

import sys

from mfspark.pipeline.request import run_job

if __name__ == "__main__":
    sys.exit(run_job("publish"))
