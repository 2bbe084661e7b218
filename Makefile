# Every command of this repository. `make` lists them.
#
# What is built or installed lies outside the tree, in TURNPIKE_CACHE, so that clones share it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export TURNPIKE_CACHE ?= $(HOME)/.cache/turnpike
export CARGO_TARGET_DIR ?= $(TURNPIKE_CACHE)/target

MANIFESTS ?= examples/quickstart
DATA ?= data
LISTEN ?= 0.0.0.0:4000

.PHONY: help run test e2e lint generate bench clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start a gateway on port 4000 with examples/quickstart (MANIFESTS=, DATA=, LISTEN=, ARGS= change it)
	@scripts/prerequisites.sh run
	@echo "building the gateway (the first time about ten minutes on two cores)"
	@cargo build --release --locked -p turnpike-gateway
	@exec "$$CARGO_TARGET_DIR/release/turnpike-gateway" --manifests "$(MANIFESTS)" --data "$(DATA)" \
		--listen "$(LISTEN)" --log-format text $(ARGS)

test: ## Install what the tests need, then run all of them
	@scripts/prerequisites.sh test
	@scripts/test.sh $(ONLY)

e2e: ## Run the tests on a real cluster alone; with KUBECONFIG set, on that one
	@scripts/prerequisites.sh cluster
	@scripts/test.sh crds e2e

lint: ## Check formatting, lints, shell scripts and the rules of CONTRIBUTING.md
	@scripts/prerequisites.sh lint
	@scripts/lint.sh

generate: ## Rewrite generated files: the CRDs, the operator's rights, the price table, the chart's manifests and values
	cargo run --locked --quiet -p turnpike-crds --bin crdgen -- charts/turnpike
	cargo run --locked --quiet -p turnpike-operator --bin rbacgen -- charts/turnpike/files/rbac.yaml
	cargo run --locked --quiet -p turnpike-llm --bin pricegen
	scripts/chart-generate.sh

bench: ## Measure the gateway against nginx and write docs/performance.md (ARGS=--quick: under a minute)
	@bench/run $(ARGS)

clean: ## Remove build output and test environments (not the data folder)
	rm -rf -- "$$CARGO_TARGET_DIR" "$$TURNPIKE_CACHE/python" "$$TURNPIKE_CACHE/node" "$$TURNPIKE_CACHE/wheels" "$$TURNPIKE_CACHE/cluster"
