#!/usr/bin/env bash
# Run conf/airflow/mfspark_nightly.py for some dates in a real Airflow 3, on the embedded survey, and check that the
# run of each date is published. Called by `make test-airflow`, which puts mfspark's environment on PATH.
#
#   tests/airflow/run_dag.sh [2026-11-22 2026-11-23 ...]
#   tests/airflow/run_dag.sh --store seaweedfs [DATE ...]              start an object store for it (or moto)
#   tests/airflow/run_dag.sh --warehouse s3://BUCKET/PREFIX [DATE ...] one that is there; its keys in the environment
#
# Airflow lives in an environment of its own (.venv-airflow): it and mfspark share no package. Everything else goes
# into a temporary directory, which is kept when something fails; so does the warehouse where none is named.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
warehouse=
case ${1:-} in
--store) exec python "$root/tests/airflow/with_store.py" "$2" "$0" --warehouse s3://warehouses/nights "${@:3}" ;;
--warehouse)
    warehouse=$2
    shift 2
    ;;
esac
dates=("${@:-2026-11-22}")
venv=${MFSPARK_AIRFLOW_VENV:-$root/.venv-airflow}
work=$(mktemp -d)

fail() {
    printf 'test-airflow: %s\n  everything is kept in %s\n' "$*" "$work" >&2
    exit 1
}

if [[ ! -e $venv/.installed ]]; then
    echo "test-airflow: installing Airflow 3 into $venv (about two minutes)" >&2
    python -m venv --clear "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check "apache-airflow>=3,<4" ||
        fail "pip could not install Airflow 3"
    touch "$venv/.installed"
fi

export AIRFLOW_HOME=$work/airflow
export AIRFLOW__CORE__DAGS_FOLDER=$root/conf/airflow AIRFLOW__CORE__LOAD_EXAMPLES=False
export MFSPARK_HOME=$root MFSPARK_WAREHOUSE=${warehouse:-$work/warehouse}
unset MFSPARK_USERS MFSPARK_ITEMS MFSPARK_CONFIG
mfspark sample survey --out "$work/survey" >/dev/null 2>&1 || fail "the survey cannot be copied"
export MFSPARK_RATINGS=$work/survey/survey.xlsx

# Airflow runs with its own environment only, as on a worker where mfspark is not installed.
airflow() {
    env -u VIRTUAL_ENV -u PYSPARK_PYTHON PATH="$venv/bin:/usr/local/bin:/usr/bin:/bin" \
        "$venv/bin/airflow" "$@" </dev/null
}

airflow db migrate >"$work/db.log" 2>&1 || fail "airflow db migrate failed, see $work/db.log"
"$venv/bin/python" "$root/tests/airflow/check_dag.py" "$root/conf/airflow/mfspark_nightly.py" ||
    fail "the DAG cannot be imported, or is not the one it should be"
# No retries: `dags test` would wait for their delay. A task that fails ends the test.
export MFSPARK_RETRIES=0
for run_date in "${dates[@]}"; do
    log=$work/dag-$run_date.log
    airflow dags test mfspark_nightly "$run_date" >"$log" 2>&1 || {
        tail -n 60 "$log" >&2
        fail "airflow dags test failed, see $log"
    }
    # `dags test` does not always end with the state of the run: what counts is what readers now find.
    path=$(mfspark path serving --warehouse "$MFSPARK_WAREHOUSE") || {
        tail -n 60 "$log" >&2
        fail "nothing was published, see $log"
    }
    python - "$MFSPARK_WAREHOUSE" "$run_date" "$path" <<'PYTHON' || fail "what was published is wrong, see $log"
import sys

import mfspark

warehouse, run_date, path = sys.argv[1:]
(run,) = mfspark.read_table(warehouse, "runs").to_table().to_pylist()
top_n = mfspark.read_table(warehouse, "top_n").to_table()
metrics = mfspark.read_table(warehouse, "metrics").to_table()
assert run["run_date"] == run_date, f"run {run['run_id']} is of {run['run_date']}, not of {run_date}"
assert run["run_id"] in path, f"{path} is not of run {run['run_id']}"
fitted = {"als", "ials", "bayesian_mf", "torch_mf"}
served = mfspark.read_table(warehouse, "serving").to_table()
assert len(set(served["model"].to_pylist())) == 1, "people get the lists of one model"
assert fitted <= set(top_n["model"].to_pylist()) & set(metrics["model"].to_pylist())
print(f"test-airflow: run {run['run_id']} is published in {warehouse} with {top_n.num_rows} rows in top_n")
PYTHON
done
mfspark verify --all --warehouse "$MFSPARK_WAREHOUSE" || fail "what was published is damaged"
rm -rf "$work"
echo "${#dates[@]} passed, 0 failed"
