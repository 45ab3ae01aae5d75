# Thin: each target is one command of a tool. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)

UV_VERSION := 0.13.9
STAGE ?= dev
APT_GET := DEBIAN_FRONTEND=noninteractive apt-get -qq
define INSTALL_CHROMIUM
if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
    echo "chromium is missing: install it (on Debian, as root: apt-get install --no-install-recommends chromium)" >&2; exit 1; \
fi; \
echo "installing chromium"; $(APT_GET) update && $(APT_GET) install --yes --no-install-recommends chromium > /dev/null
endef

.PHONY: help setup check format test chromium test-fast simulate fuzz learn demo up down synth deploy clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.synced node_modules/.package-lock.json ## Install all that the other targets need (they do so themselves)

check: setup ## Format, lint, types, import contracts
	ruff format --check .
	ruff check .
	mypy
	lint-imports

format: setup ## Format and fix what can be fixed
	ruff format .
	ruff check --fix .

test: setup chromium ## All tests, in two processes; the end-to-end ones deploy the app onto an emulated AWS
	pytest --numprocesses=2 --dist=loadgroup

chromium: ## Install the browser that the tests of browser SDKs drive, where it is missing (Debian, as root)
	@command -v chromium > /dev/null || { $(INSTALL_CHROMIUM); }

test-fast: setup ## All tests but the end-to-end ones
	pytest -m "not e2e"

simulate: setup ## Run SEEDS (10000) runs of the fault simulation
	python -m tests.simulation $(or $(SEEDS),10000)

fuzz: setup ## Fuzz what takes strangers' bytes for SECONDS (60); what is found is kept in tests/fuzz/corpus
	python -m tests.fuzz $(or $(SECONDS),60)

learn: setup ## Hold what is learnt from ten drawn companies against their known truth
	python -m tests.learning

demo: setup ## A week of SDK traffic, the ranked list and the alerts (KEEP=1 leaves the stack up)
	leadscore demo $(if $(filter-out 0,$(KEEP)),--keep)

up: setup ## Deploy the app onto an emulated AWS on this machine and leave it running
	leadscore up

down: setup ## End what `make up` started
	leadscore down

synth: setup ## Write the CloudFormation templates of STAGE (dev) into cdk.out
	node_modules/.bin/cdk synth --quiet --no-notices --context stage=$(STAGE)

deploy: setup ## Deploy STAGE (dev) into the AWS account of your credentials
	leadscore deploy --stage $(STAGE)

clean: ## End the local stage and remove all that was built or installed here
	@if [ -x .venv/bin/leadscore ]; then leadscore down; fi
	rm -rf .venv .tools .build .local cdk.out node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/.synced: uv.lock pyproject.toml layers/scoring/pyproject.toml .python-version
	@command -v uv > /dev/null || { python3 -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	uv sync --frozen --all-groups
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json .venv/.synced
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@
