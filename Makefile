# Everything that is done with this repository. `make` alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo image kernel emulator test test-slow test-qemu lint bench bench-qemu attacks fuzz protos stubs lock \
	image-lock clean

# The first Python on PATH that is new enough. Another one: make install PYTHON=/path/to/python3.12
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)
VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
PYTEST_WORKERS ?= 2

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Install ---------------------------------------------------------------------------------------------

INSTALLED := $(VENV)/.installed

install: $(INSTALLED) ## Make .venv with the locked packages and this project in it

# Every package is checked against the hash in its lock, the build tools first: a package that comes as source
# is built by them (--no-build-isolation) and never by a tool that is fetched unchecked on the way.
$(INSTALLED): requirements/build.lock requirements/dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer on PATH" >&2; \
		echo "hint: make install PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV) (some minutes the first time)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP_INSTALL) --require-hashes -r requirements/build.lock
	@$(PIP_INSTALL) --require-hashes --no-build-isolation -r requirements/dev.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED) ## Run one joint computation from start to end on this machine
	@$(VENV)/bin/concordat scenario flights

image: $(INSTALLED) ## Build the enclave's image, build/image/concordat.eif, and print what it measures
	@mkdir -p build/image
	@$(VENV)/bin/concordat image build --output build/image/concordat.eif

KERNEL :=

kernel: $(INSTALLED) ## Build the enclave's kernel (KERNEL="--to DIR" for a copy, --pin after a change)
	@$(PY) -m enclave_compute.image.kernel $(KERNEL)

EMULATOR :=

emulator: $(INSTALLED) ## Build QEMU's nitro-enclave machine, nothing is installed (EMULATOR="--to DIR" for a copy)
	@$(PY) -m scenarios.emulator.build $(EMULATOR)

# --- Check -----------------------------------------------------------------------------------------------

test: $(INSTALLED) ## Run the tests, without those that take minutes
	$(PY) -m pytest -n $(PYTEST_WORKERS) -m "not slow and not qemu"

test-slow: $(INSTALLED) ## Run the tests that take minutes
	$(PY) -m pytest -m "slow and not qemu"

test-qemu: image ## Boot the image in the emulator and test what runs there (builds both)
	@emulator=$$($(PY) -m scenarios.emulator.build) && \
		CONCORDAT_EMULATOR="$$emulator" CONCORDAT_EIF=$(CURDIR)/build/image/concordat.eif $(PY) -m pytest -m qemu

lint: $(INSTALLED) ## Check style, types, layering and that the stubs fit their .proto
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m pytest --quiet tests/meta/test_generated_stubs.py

BENCH_ROWS ?= 1000000

bench: $(INSTALLED) ## Measure throughput and memory (BENCH_ROWS=1000000)
	BENCH_ROWS=$(BENCH_ROWS) $(PY) -m tests.bench.run

bench-qemu: image ## Measure the image in the emulator against the SIMULATED enclave
	@emulator=$$($(PY) -m scenarios.emulator.build) && \
		CONCORDAT_EMULATOR="$$emulator" CONCORDAT_EIF=$(CURDIR)/build/image/concordat.eif $(PY) -m tests.bench.emulator

TRIALS ?= 200

attacks: $(INSTALLED) ## Attack with rules off, on and with noise (TRIALS=200 each)
	$(PY) -m tests.attacks_harness.run --trials $(TRIALS)

SECONDS ?= 60

fuzz: $(INSTALLED) ## Fuzz every parser of hostile bytes (SECONDS=60 each)
	@$(PIP_INSTALL) --require-hashes -r requirements/fuzz.lock
	$(PY) -m tests.fuzz.run_all $(SECONDS)

# --- Generate --------------------------------------------------------------------------------------------

STUBS := .

protos: $(INSTALLED) stubs ## Generate the gRPC stubs in protos/v1 again

# Run from the root, so that generated modules import each other as protos.v1. The drift test calls this
# target with another STUBS folder and compares.
stubs:
	@$(PY) -m grpc_tools.protoc --proto_path=. --python_out=$(STUBS) --pyi_out=$(STUBS) \
		--grpc_python_out=$(STUBS) protos/v1/concordat.proto

UV_VERSION := 0.13.9
UPGRADE :=

# The AWS client of the tests holds packages back that a party has too: a party is locked to what was tested.
lock: ## Resolve requirements/*.lock again (UPGRADE=--upgrade for newer versions)
	@"$(PYTHON)" -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@set -e; for extra in build coordinator dev enclave fuzz party; do \
		within=; test "$$extra" != party || within="--constraints requirements/dev.lock"; \
		build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
			--no-emit-index-url --no-emit-find-links $(UPGRADE) $$within --extra "$$extra" \
			--output-file "requirements/$$extra.lock" pyproject.toml; \
	done

image-lock: $(INSTALLED) ## Pin the newest Debian packages for the image, its kernel and the emulator (on Debian)
	@$(PY) -m enclave_compute.image.debian.relock

clean: ## Remove what tools left behind (not .venv)
	rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
