"""Import the DAG file named on the command line in Airflow's Python and check its shape."""

from __future__ import annotations

import runpy
import sys

TRAIN = {"train_als", "train_ials", "train_bayesian_mf", "train_torch_mf"}
CHAIN = {
    "ingest_ratings": {"user_similarity"},
    "user_similarity": TRAIN,
    **{task: {"evaluate_models"} for task in TRAIN},
    "evaluate_models": {"publish_top_n"},
    "publish_top_n": set(),
}

dag = runpy.run_path(sys.argv[1])["dag"]
assert dag.dag_id == "mfspark_nightly"
assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == CHAIN
assert dag.max_active_runs == 1
assert dag.catchup is False
for task in dag.tasks:
    assert task.execution_timeout is not None, task.task_id
    assert f"jobs/{task.task_id}.py" in task.bash_command, task.task_id
print(f"test-airflow: {dag.dag_id} has {len(dag.tasks)} tasks in the right order")
