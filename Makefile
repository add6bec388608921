# Everything sets itself up: `make demo` or `make test` on a clean clone is enough.
SHELL := /bin/bash
PYTHON ?= python3
ARGS ?=
WORKERS ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
SEEDS ?= 200
MINUTES ?=
PACKAGES := $(patsubst %/__init__.py,%,$(wildcard coord/__init__.py console/__init__.py demo/__init__.py bench/__init__.py))
READY := .venv/.ready
PYTEST := --durations=10

.NOTPARALLEL:

.PHONY: help have-consul have-prometheus demo console test test-election test-unit test-console \
	test-conformance \
	test-integration test-runbooks test-alerts test-all test-packaging test-other-pythons test-console-long test-simulations test-exhaustive test-simulation test-long \
	test-conformance-long test-observability test-browser test-docker test-chaos lint simulate exhaustive storm chaos bench \
	docs html test-docs runbooks snapshots screenshots requirements consul consul-agent setup clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

have-consul: $(READY)
	@.venv/bin/python consul-dev/get_consul.py >/dev/null

setup: $(READY) ## make .venv and install the pinned packages

$(READY): requirements/dev.txt pyproject.toml .ci/setup
	@.ci/step "set up" .ci/setup "$(PYTHON)"
	@touch $@

demo: have-consul ## five real nodes on a real Consul; ARGS=--keep leaves them running
	@.venv/bin/python -m demo $(ARGS)

console: have-consul ## the demo's fleet, and the console open on it; ARGS go to coord-console
	@.venv/bin/python -m demo.console $(ARGS)

lint: $(READY) ## style, types and import rules
	@.ci/step "ruff check" .venv/bin/ruff check .
	@.ci/step "ruff format" .venv/bin/ruff format --check .
	@.ci/step "mypy" .venv/bin/mypy --strict $(PACKAGES) consul-dev tests
	@.ci/step "import rules" .venv/bin/lint-imports --no-logo

test: lint test-election test-unit test-console test-conformance test-integration test-runbooks test-alerts ## lint, then every test but the long suites; a suite alone: make test-console

test-election: $(READY)
	@.ci/step "branches of coord.election" .ci/election-coverage

test-unit: $(READY)
	@.ci/step "unit tests" .ci/suite tests/unit tests/test_architecture.py --ignore=tests/unit/election -n $(WORKERS) $(PYTEST)

test-console: $(READY)
	@.ci/step "console tests" .ci/suite tests/console -m "not long" -n $(WORKERS) $(PYTEST)

test-conformance: have-consul
	@.ci/step "conformance tests" .ci/suite tests/conformance --ignore=tests/conformance/long -n $(WORKERS) --dist loadgroup $(PYTEST)

test-integration: have-consul
	@.ci/step "integration tests" .ci/suite tests/integration -m "not long" -n $(WORKERS) --dist loadgroup $(PYTEST)

test-runbooks: have-consul
	@.ci/step "runbooks" .ci/suite tests/runbooks -n $(WORKERS) $(PYTEST)

# What cannot be had is a reason to skip, which the suite tells; in CI it fails there.
have-prometheus: $(READY)
	@.venv/bin/python consul-dev/get_prometheus.py >/dev/null 2>&1 || true

test-alerts: have-prometheus
	@.ci/step "alert rules" .ci/suite tests/observability -m "not long" -n $(WORKERS) $(PYTEST)

test-all: test-docs test-packaging test-other-pythons test-console-long test-simulations test-long test-observability test-browser test-docker test-chaos ## the long suites: simulation, exhaustive search, Docker, chaos on a real cluster

test-docs: $(READY)
	@.ci/step "documentation" $(MAKE) --no-print-directory html

test-packaging: $(READY)
	@.ci/chaos-prerequisites
	@.ci/step "wheel and sdist, installed" .ci/suite tests/packaging -n $(WORKERS) --dist loadfile $(PYTEST)

test-other-pythons: have-consul
	@.ci/step "the other Pythons here" .ci/test-other-pythons $(PYTEST)

test-console-long: $(READY)
	@.ci/step "console, every screen and dialog" .ci/suite tests/console -m long -n $(WORKERS) $(PYTEST)

# What real Consul does only after minutes is waited for meanwhile.
test-simulations: have-consul
	@MAKE="$(MAKE)" .ci/beside test-conformance-long test-exhaustive test-simulation

test-exhaustive: $(READY)
	@.ci/step "exhaustive search" .ci/suite tests/simulation/pure $(PYTEST)

test-simulation: $(READY)
	@.ci/step "simulation" .ci/suite tests/simulation --ignore=tests/simulation/pure -n $(WORKERS) $(PYTEST)

test-long: have-consul
	@.ci/console-prerequisites
	@.ci/step "integration, long" .ci/suite tests/integration -m long -n $(WORKERS) --dist loadgroup $(PYTEST)

test-conformance-long: have-consul
	@.ci/step "conformance, slow" .ci/suite tests/conformance/long -n $(WORKERS) $(PYTEST)

test-observability: have-consul have-prometheus
	@.ci/step "alerts and dashboard, for real" .ci/suite tests/observability -m long $(PYTEST)

test-browser: have-consul
	@.ci/browser-prerequisites
	@.ci/step "pages in a browser" .ci/suite tests/browser $(PYTEST)

test-docker: have-consul have-prometheus
	@.ci/step "compose file on a Docker engine" .ci/suite tests/docker $(PYTEST)

test-chaos: have-consul
	@.ci/chaos-prerequisites
	@.ci/step "chaos" .ci/suite tests/chaos $(PYTEST)

simulate: $(READY) ## simulated worlds; SEEDS=1000 as many, ARGS='--seed 7' one with its history
	@.venv/bin/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

exhaustive: $(READY) ## every order of events of a few candidates, to a depth; ARGS=--help
	@.venv/bin/python -m tests.simulation.pure.exhaustive $(ARGS)

storm: $(READY) ## a million elections of the pure machine; ARGS='--elections 10000'
	@.venv/bin/python -m tests.simulation.pure.storm $(ARGS)

chaos: have-consul ## break a real cluster, as root on Linux; MINUTES=5, ARGS='--scenario kill', ARGS=--help
	@.ci/chaos-prerequisites
	@.venv/bin/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

bench: have-consul ## measure; ARGS go to the benchmark
	@.venv/bin/python -m bench $(ARGS)

docs: $(READY) ## write the generated parts of the documentation; ARGS=--check only looks
	@.venv/bin/python docs/generate.py $(ARGS)

html: $(READY) ## the documentation as pages, in .cache/html
	@.venv/bin/sphinx-build --builder html --conf-dir docs --fail-on-warning --keep-going --quiet --jobs auto . .cache/html
	@echo 'Begin at .cache/html/index.html'

runbooks: have-consul ## run the runbooks' commands and write down what they show; read it then
	@COORD_WRITE_RUNBOOKS=1 .ci/suite tests/runbooks $(PYTEST)

snapshots: $(READY) ## keep what the console's screens look like now; look at the difference then
	@COORD_WRITE_SNAPSHOTS=1 .ci/suite tests/console/test_snapshots.py -n $(WORKERS) $(PYTEST)

screenshots: have-consul ## take the documentation's pictures, of a real fleet
	@PYTHONPATH=tests/support:consul-dev .venv/bin/python docs/screenshots.py $(ARGS)

requirements: $(READY) ## pin anew what pyproject.toml asks for; ARGS=--upgrade for newer ones
	@.ci/compile-requirements $(ARGS)

consul: ## print the path of a Consul binary, obtaining one if there is none
	@$(PYTHON) consul-dev/get_consul.py

consul-agent: ## one Consul agent with its UI until Ctrl-C; ARGS='--http-port 8501'
	@$(PYTHON) consul-dev/dev_agent.py start $(ARGS)

clean: ## remove .venv and what was generated
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
