# Every target does its own set-up: `.venv` in this folder, with the versions and hashes of constraints.txt. Set-up needs the
# network once; nothing does after it. `make PYTHON=/path/to/python3.12` chooses the interpreter.

READY := .venv/.ready
RUN := .venv/bin
# Tests of one file stay together: they share servers and worlds. The structure is looked at by `make check`.
PYTEST = $(RUN)/python -m pytest -n $(or $(CORES),2) --dist loadfile

help:  ## say what each target does (the default)
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: $(READY)  ## make a small world in ./demo-world and run configs/demo.yaml on it, offline
	@$(RUN)/python -m pipeline.demo
	@$(RUN)/python -m pipeline.run configs/demo.yaml

test: $(READY)  ## the tests, offline, without system packages, on two cores (CORES=2)
	$(PYTEST) -m "not long and not full" --ignore tests/test_structure.py

check: $(READY)  ## format, lint, types, imports and structure
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo
	$(RUN)/python -m pytest -q tests/test_structure.py

test-long: $(READY)  ## the tests that take minutes: kills, faults, servers, browser, notebooks
	$(PYTEST) -m "long and not full"

test-full: $(READY)  ## the same, and every further row of the fault matrix: an hour
	$(RUN)/python -m pytest -m "long or full"

kills: $(READY)  ## 200 jobs ended at any step of their commit; prints what was doubled and what differs (SEED=1)
	@$(RUN)/python -m tests.faults.kills

bench: $(READY)  ## the product beside its peers and beside the floor: 25 minutes on a quiet machine (REPEAT=5 BENCH_DATA=folder)
	@$(RUN)/python -m tests.benchmarks

bench-quick: $(READY)  ## whether `make bench` works, on small scenes: a minute; its figures mean nothing
	@REPEAT=1 $(RUN)/python -m tests.benchmarks --quick

bench-campaign: $(READY)  ## 100,000 jobs planned, run and found committed again: half an hour (JOBS=100000)
	@$(RUN)/python -m tests.benchmarks.campaign

bench-estimate: $(READY)  ## what runs were expected to take beside what they took: some minutes
	@$(RUN)/python -m tests.benchmarks.estimate

bench-argo: $(READY)  ## Argo files to a table, beside netCDF4 and plain xarray: a minute or two (REPEAT=5 ARGO_DATA=folder)
	@$(RUN)/python -m tests.benchmarks.argo

bench-listener: $(READY)  ## the listener at 500 messages a second, beside slow senders and 5 MB bodies: two minutes (RATE=500 SECONDS=20)
	@$(RUN)/python -m tests.benchmarks.listener --rate $(or $(RATE),500) --seconds $(or $(SECONDS),20)

local-stack: $(READY)  ## an S3 server, moto's SNS and SQS, and a listener that they reach, on this machine; Ctrl-C ends them
	@$(RUN)/python -m pipeline.events.local_stack

run-single: $(READY)  ## one float through the whole pipeline: FLOAT_ID=2902269 (CONFIG=configs/argo.yaml)
	@$(if $(FLOAT_ID),,$(error FLOAT_ID is not set: make run-single FLOAT_ID=2902269))
	@$(RUN)/python -m pipeline.run $(or $(CONFIG),configs/argo.yaml) --float-id $(FLOAT_ID)

run-batch: $(READY)  ## all floats of a centre: DAC=incois LIMIT=1000 cycles at most (CONFIG=configs/argo.yaml)
	@$(RUN)/python -m pipeline.run $(or $(CONFIG),configs/argo.yaml) $(if $(DAC),--dac $(DAC)) $(if $(LIMIT),--limit $(LIMIT))

pins: $(READY)  ## write constraints.txt anew, with the newest versions that fit pyproject.toml
	$(RUN)/uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --all-extras \
	  --fork-strategy fewest --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make pins" --quiet \
	  --output-file constraints.txt

clean:  ## remove what the targets made
	rm -rf .venv demo-world demo-output demo-events demo-events.sqlite* arrivals local-stack .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An interpreter is asked, not trusted by name: a version manager's `python3.13` may be there and refuse to start.
ASK := import sys, ensurepip, ssl; v = sys.version_info[:3]; \
       print("%d.%d.%d" % v); sys.exit(not (3, 11) <= v < (3, 14))

CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)

$(READY): constraints.txt pyproject.toml
	@if ! .venv/bin/python -c '$(ASK)' >/dev/null 2>&1; then \
	  chosen=; found=; \
	  for python in $(CANDIDATES); do \
	    version=`$$python -c '$(ASK)' 2>/dev/null`; fits=$$?; \
	    if [ $$fits -eq 0 ]; then chosen=$$python; break; fi; \
	    if [ -n "$$version" ]; then found="$$found $$python is Python $$version."; \
	    elif $$python -c '' 2>/dev/null; then found="$$found $$python lacks ensurepip or ssl (on Debian: python3-venv)."; fi; \
	  done; \
	  if [ -z "$$chosen" ]; then \
	    echo "Groundswell needs Python 3.11, 3.12 or 3.13.$${found:- None runs of: $(CANDIDATES).}" >&2; \
	    echo "Install one of them, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	  fi; \
	  echo "Setting up .venv with $$chosen (Python $$version), once: some minutes"; \
	  $$chosen -m venv --clear .venv || exit 1; \
	fi
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r constraints.txt
	@$(RUN)/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps -e .
	@# Packages are compiled beside the loops; a file that is no Python for this version stays as it is.
	@$(RUN)/python -m compileall -qq .venv/lib pipeline cluster & $(RUN)/python -m pipeline.compiled; made=$$?; wait; exit $$made
	@touch $@

include cluster/cloud.mk

.PHONY: help demo test check test-long test-full kills bench bench-quick bench-argo bench-campaign bench-estimate bench-listener local-stack run-single run-batch pins clean
