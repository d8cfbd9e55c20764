# llmtoken. `make help` lists what there is.
SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?= python3
# More options for `make up`, `make test` and `make pictures`: make test ARGS="-k server"
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
UPSTREAM ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamps say which set of packages the virtual environment holds.
$(VENV)/.up: pyproject.toml requirements/up.txt
	@$(PYTHON) -m venv $(VENV) || { echo "This Python has no venv module: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the collector and Traefik into $(VENV) …"
	@$(BIN)/pip install --quiet -r requirements/up.txt
	@$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.up requirements/dev.txt
	@echo "Installing what the tests need into $(VENV) …"
	@$(BIN)/pip install --quiet -r requirements/dev.txt
	@touch $@

.PHONY: up
up: $(VENV)/.up ## Run collector, Traefik and Prometheus: make up UPSTREAM=http://host:port ARGS=--help
	@$(BIN)/llmtoken up $(if $(UPSTREAM),--upstream $(UPSTREAM)) $(ARGS)

.PHONY: demo
demo: $(VENV)/.up ## Send a few requests through everything, show what was counted, stop
	@$(BIN)/llmtoken demo

# A file at a time for each worker, the long ones first (tests/support/parallel.py). Hundreds of processes are started:
# what Python compiled for one is kept for the next.
.PHONY: test
test: $(VENV)/.dev ## Run every test, some at a time; one after the other: make test ARGS="-n 0"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev ## Measure, one benchmark after the other; or one: make bench BENCH=bench/overhead.py
	@for bench in $(or $(BENCH),$(wildcard bench/*.py)); do echo "── $$bench"; $(BIN)/python $$bench || exit 1; done

.PHONY: docs
docs: $(VENV)/.dev ## Write the pages, dashboards and settings that are made from code
	@$(BIN)/python -m llmtoken.cli.settings > docs/configuration.md
	@$(BIN)/python -m llmtoken.metrics.document > docs/metrics.md
	@$(BIN)/python -m grafana

.PHONY: pictures
pictures: $(VENV)/.dev ## Draw the dashboards for docs/images, from made-up calls; needs Prometheus and some minutes
	@$(BIN)/python -m grafana.pictures $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## Check style and types, and that Traefik's interpreter can take the plugin
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@GOTOOLCHAIN=local $(BIN)/go run -C tools/yaegi . $(CURDIR)/plugin

.PHONY: audit
audit: $(VENV)/.dev ## Ask the vulnerability database about every pinned package (needs the internet)
	@$(BIN)/uv tool run pip-audit --no-deps --disable-pip -r requirements/image.txt
	@$(BIN)/uv tool run pip-audit --no-deps --disable-pip -r requirements/dev.txt

.PHONY: format
format: $(VENV)/.dev ## Put the Python and Go sources in shape
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .
	@$(BIN)/go fmt -C plugin ./...
	@$(BIN)/go fmt -C tools/yaegi ./...

.PHONY: requirements
requirements: $(VENV)/.dev ## Pin the newest packages that pyproject.toml allows
	@$(call pin,base,) && $(call pin,image,--extra postgresql --extra otlp --extra browse) && $(call pin,up,--extra up) && $(call pin,dev,--extra dev)

pin = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-emit-index-url --no-annotate \
	--custom-compile-command "make requirements" $(2) pyproject.toml -o requirements/$(1).txt

.PHONY: clean
clean: ## Remove the virtual environment and caches; data stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build
