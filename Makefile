# `make` alone prints the targets. Every target does the set-up it needs first.
MFSPARK_VENV ?= .venv
export MFSPARK_VENV
# The checksum of this clone's path: an environment that was set up for another clone is not ours.
STAMP := $(MFSPARK_VENV)/.mfspark-setup-$(shell pwd -P | cksum | cut -d ' ' -f 1)
IN_ENV := scripts/in_env.sh
SHELL := bash

# make run RATINGS=ratings.csv ITEMS=movies.csv WAREHOUSE=out ARGS='--models als --set seed=7'
RATINGS ?=
USERS ?=
ITEMS ?=
WAREHOUSE ?= warehouse
ARGS ?=
# make test TESTS=tests/evaluation
TESTS ?=
# Processes that share out the files of all tests; each has a Spark session of its own (3 GB).
WORKERS ?= 2
CLUSTER ?= short
BENCH ?=
DATE ?= 2026-11-22
# make test-airflow STORE=seaweedfs DATE='2026-11-22 2026-11-23'
STORE ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-faults test-cluster package audit check format schemas bench examples test-airflow clean distclean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv, install the packages, find or install Java (a second call is instant)

$(STAMP): pyproject.toml scripts/setup.sh scripts/find_java.sh
	@scripts/setup.sh

run: $(STAMP) ## Set up, then run the nightly on the embedded survey, or on RATINGS=... ITEMS=... WAREHOUSE=...
	@$(IN_ENV) mfspark run --warehouse '$(WAREHOUSE)' \
	  $(foreach file,$(RATINGS),--ratings '$(file)') $(foreach file,$(USERS),--users '$(file)') \
	  $(foreach file,$(ITEMS),--items '$(file)') $(ARGS)

test: $(STAMP) ## Set up, then run the tests, or only TESTS=tests/...
	@$(IN_ENV) pytest $(if $(TESTS),,--numprocesses $(WORKERS) --dist loadfile) $(TESTS)

test-faults: $(STAMP) ## Run the long form of the fault suites (an hour or two)
	@MFSPARK_FAULTS=long $(IN_ENV) pytest -m faults -rs -s --timeout 3600 $(TESTS)

test-cluster: package ## Run nights on machines with nothing of ours (root; CLUSTER=long: ML-100K, all models)
	@MFSPARK_CLUSTER=$(CLUSTER) $(IN_ENV) pytest -m cluster -rs -s --timeout 3600 tests/cluster tests/pipeline/test_connect.py

package: $(STAMP) ## Build dist/: wheel, zip for --py-files, environment for --archives, requirements for images
	@$(IN_ENV) scripts/package.sh

audit: $(STAMP) ## Look for known vulnerabilities in the installed packages (asks a public database)
	@$(IN_ENV) python -m pip install -qq --disable-pip-version-check --editable ".[audit]"
	@$(IN_ENV) python -m pip list --format=freeze --exclude-editable --disable-pip-version-check \
	  | sed 's/+[a-z0-9.]*$$//' > '$(MFSPARK_VENV)/installed.txt' # torch's "+cpu" is no release
	@$(IN_ENV) pip-audit --strict --no-deps --disable-pip --requirement '$(MFSPARK_VENV)/installed.txt'

check: $(STAMP) ## Lint, formatting, types, import contracts, dependencies, the Dockerfile
	@$(IN_ENV) ruff check .
	@$(IN_ENV) ruff format --check .
	@$(IN_ENV) basedpyright
	@$(IN_ENV) lint-imports
	@$(IN_ENV) deptry .
	@$(IN_ENV) hadolint conf/kubernetes/Dockerfile

format: $(STAMP) ## Format the code and mend what the linter can
	@$(IN_ENV) ruff check --fix .
	@$(IN_ENV) ruff format .

schemas: $(STAMP) ## Write docs/schemas, what commands answer with --json, anew
	@$(IN_ENV) python scripts/write_schemas.py

bench: $(STAMP) ## Measure every stage (BENCH=... passes options; see benchmarks/README.md)
	@$(IN_ENV) python -m pip install -qq --disable-pip-version-check --editable ".[bench]"
	@$(IN_ENV) python -m benchmarks $(BENCH)

examples: $(STAMP) ## Run docs/examples and draw their plots anew
	@$(IN_ENV) python -m pip install -qq --disable-pip-version-check --editable ".[examples]"
	@set -e; for script in docs/examples/[0-9]*.py; do echo "== $$script"; $(IN_ENV) python $$script; done

test-airflow: $(STAMP) ## Run the Airflow DAG for DATE in a real Airflow 3, on a directory or a STORE
	@$(IN_ENV) tests/airflow/run_dag.sh $(if $(STORE),--store $(STORE)) $(DATE)

clean: ## Remove caches and build output; tables and environments stay
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache \
	  spark-warehouse metastore_db derby.log artifacts
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## Remove the virtual environments too
	@rm -rf '$(MFSPARK_VENV)' .venv-airflow
