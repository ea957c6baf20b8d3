"""The nightly run as an Airflow 3 DAG: one spark-submit task a stage.

Copy or link this file into the DAGs folder. It reads the environment of the Airflow worker:

    MFSPARK_HOME        clone of mfspark with its virtual environment set up (`make setup`); needed
    MFSPARK_RATINGS     file or glob of ratings; unset: what conf/nightly.toml names
    MFSPARK_USERS       file or glob of users' attributes; optional
    MFSPARK_ITEMS       file or glob of items; optional
    MFSPARK_WAREHOUSE   where tables are published, a directory or s3://BUCKET/PREFIX (gs://, az://);
                        unset: what conf/nightly.toml names. Its keys come from the same environment
    MFSPARK_CONFIG      configuration, relative to MFSPARK_HOME; unset: conf/nightly.toml
    MFSPARK_SUBMIT      further options of spark-submit, e.g. "--master yarn --num-executors 4"
    MFSPARK_RETRIES     tries after a task failed; unset: 2

BashOperator rather than SparkSubmitOperator: mfspark brings its own Spark in its own environment,
so that Airflow needs neither the Spark provider nor pyspark, and both can be upgraded apart.

Exit status of a task: 0 done, 2 configuration, 3 input unusable, 5 refused by a gate, 70 internal
error, 75 another run holds the lock. A retry helps with 70 and 75; with 2, 3 and 5 it gives the
same answer again, so the retries are few. A retried task goes on from the last finished sweep, and
clearing a whole run is safe: finished stages are found and not repeated. What readers see changes
only in `publish_top_n`, in one step.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

COMMAND = """
set -euo pipefail
cd "${{MFSPARK_HOME:?set MFSPARK_HOME to the clone of mfspark}}"
exec scripts/in_env.sh spark-submit \\
  --properties-file conf/spark-defaults.conf ${{MFSPARK_SUBMIT:-}} \\
  jobs/{job}.py --config "${{MFSPARK_CONFIG:-conf/nightly.toml}}" --run-date "{{{{ ds }}}}" \\
  ${{MFSPARK_RATINGS:+--ratings "$MFSPARK_RATINGS"}} \\
  ${{MFSPARK_USERS:+--users "$MFSPARK_USERS"}} \\
  ${{MFSPARK_ITEMS:+--items "$MFSPARK_ITEMS"}} \\
  ${{MFSPARK_WAREHOUSE:+--warehouse "$MFSPARK_WAREHOUSE"}}
"""


def spark_submit(job: str, hours: float = 1) -> BashOperator:
    """Return the task that runs `jobs/<job>.py` for the DAG run's date, at most `hours` long."""
    return BashOperator(
        task_id=job,
        bash_command=COMMAND.format(job=job),
        execution_timeout=timedelta(hours=hours),
    )


with DAG(
    dag_id="mfspark_nightly",
    description="Ratings in, completed top-N tables out",
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a night that was missed is not worth running late; backfills are asked for
    max_active_runs=1,
    default_args={
        "retries": int(os.environ.get("MFSPARK_RETRIES", "2")),
        "retry_delay": timedelta(minutes=10),
    },
    tags=["mfspark"],
    doc_md=__doc__,
) as dag:
    ingest = spark_submit("ingest_ratings")
    similarity = spark_submit("user_similarity", hours=2)
    models = ("als", "ials", "bayesian_mf", "torch_mf")
    train = [spark_submit(f"train_{model}", hours=3) for model in models]
    evaluate = spark_submit("evaluate_models", hours=2)
    publish = spark_submit("publish_top_n")
    ingest >> similarity >> train >> evaluate >> publish
