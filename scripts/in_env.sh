#!/usr/bin/env bash
# Run a command with the virtual environment first on PATH and JAVA_HOME on a Java that Spark runs on.
#
#   scripts/in_env.sh mfspark doctor
#   scripts/in_env.sh spark-submit --properties-file conf/spark-defaults.conf jobs/nightly.py ...
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${MFSPARK_VENV:-.venv}
[[ $venv == /* ]] || venv=$root/$venv
if [[ ! -x $venv/bin/python ]]; then
    echo "in_env: there is no working virtual environment in $venv; remove it and run 'make setup'" >&2
    exit 2
fi
if ! JAVA_HOME=$("$root/scripts/find_java.sh"); then
    echo "in_env: no Java 17 or 21 was found; run 'make setup', or set JAVA_HOME to one" >&2
    exit 2
fi
export JAVA_HOME
export VIRTUAL_ENV=$venv PATH="$venv/bin:$JAVA_HOME/bin:$PATH"
# spark-submit starts `python3` of PATH unless told otherwise: pin the driver and the workers.
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$venv/bin/python}
# Spark's own log is for errors, unless somebody configured it otherwise.
if [[ -z ${SPARK_CONF_DIR:-} && ${SPARK_SUBMIT_OPTS:-} != *log4j* ]]; then
    quiet=-Dlog4j2.configurationFile=file:$root/mfspark/system/log4j2.properties
    export SPARK_SUBMIT_OPTS="${SPARK_SUBMIT_OPTS:-} $quiet"
fi
exec "$@"
