# Commands to remember: make dev | test | check | bench | bench-faults | kafka | pictures | test-all
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Most tests wait for processes and clocks, not for a CPU. A module stays together: its broker and servers are its own.
WORKERS ?= 3
PARALLEL = --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

.PHONY: dev test test-all check format bench bench-faults kafka pictures setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headrace needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --group dev
	touch $@

dev: $(STAMP)            ## everything in one process, with the sample functions of examples/
	$(BIN)/headrace dev --functions examples/functions.yaml --data .headrace

test: check              ## lint, types and every test but the slow sweeps
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test-all: check          ## the slow sweeps too
	$(BIN)/python -m pytest $(PARALLEL)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)          ## prints the table and writes .bench/latest.json
	$(BIN)/python -m processor.ops.bench $(if $(LIMITS),--limits $(LIMITS)) $(BENCH)

bench-faults: $(STAMP)   ## how fast what was killed is back, what an outage costs; KILLS=1000 adversarial kills too
	$(BIN)/python -m processor.ops.bench.faults $(BENCH)
	$(if $(KILLS),$(BIN)/python -m processor.ops.bench.faults_repossession --kills $(KILLS))

kafka: $(STAMP)          ## a local Kafka for users and tests: make kafka [NODES=3]
	$(BIN)/python deploy/kafka/broker.py run --nodes $(or $(NODES),1)

pictures: $(STAMP)       ## the picture of the console in the README (needs Chromium)
	$(BIN)/python -m deploy.pictures.console

clean:
	rm -rf $(VENV) .cache .bench
