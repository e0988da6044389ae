# Everything runs in .venv, made here with python3 -m venv from the lock file. No other tool is assumed.
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 3
# Without this machine's extra indexes: the lock holds every platform's public hashes, and nothing local.
COMPILE := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null $(BIN)/pip-compile --quiet \
  --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: demo soak test check bench bench-gateway bench-parity lock clean

demo: $(READY)  ## a web application's domain moves under its traffic, then four more under a writer (KEEP=1 leaves all running)
	@$(BIN)/python -m starter demo $(if $(KEEP),--keep)

soak: $(READY)  ## the application's move for longer, with faults (SECONDS=600)
	@$(BIN)/python -m demo.soak $(SECONDS)

test: $(READY)  ## the whole suite
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup $(ARGS)

check: $(READY)  ## lint, format, types, import rules
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(READY)  ## throughput of the backfill
	@$(BIN)/python -m benchmarks.backfill

bench-gateway: $(READY)  ## what the application's library adds to a read and a write, in each stage
	@$(BIN)/python -m benchmarks.gateway

bench-parity: $(READY)  ## how fast two tables, and two stores, are compared
	@$(BIN)/python -m benchmarks.parity_tables
	@$(BIN)/python -m benchmarks.parity

lock: $(READY)  ## write both lock files anew from pyproject.toml
	@$(COMPILE) --all-extras -o requirements.lock pyproject.toml
	@$(COMPILE) -c requirements.lock -o deploy/requirements.lock pyproject.toml
	@sed -i '/^# The following packages are considered/d' requirements.lock deploy/requirements.lock

clean:  ## the virtual environment, caches and the local servers' data
	@rm -rf .venv .midflight .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
