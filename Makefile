# `make` lists the verbs. Every verb installs what it needs, can be repeated, and can be interrupted at any point.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export MODELSERVICE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelservice
export PYTHONPATH := operator:runtime:.
export PYTHONUNBUFFERED := 1
export PYTHONDONTWRITEBYTECODE := 1

CLUSTER ?= modelservice
# Recursive on purpose: an environment is made when a verb first needs it, not when make is called.
tools = $(shell bash tests/tooling/venv.sh tools tests/tooling/tools.lock)/bin
dev = $(shell bash tests/tooling/venv.sh dev tests/tooling/dev.lock)/bin

.PHONY: help quickstart test test-faults test-node soak lint generate verify coverage-fields cluster-up cluster-down images demo-models demo bench-operator bench-runtime lock

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | while IFS=$$'\t' read -r verb what; do printf '  make %-14s %s\n' "$$verb" "$$what"; done

quickstart: ## a cluster, the operator, a model and its answer, from nothing
	@$(tools)/python -m tests.quickstart --cluster $(CLUSTER)

# Two lanes share the cores: threads of OpenMP that spin while they wait would take the other lane's.
test: lint verify ## every check and every test, on a real API server and a real node
	@OMP_WAIT_POLICY=passive $(dev)/python -m pytest -q -n 2 -m "not thorough"

test-faults: ## every fault of the operator's bench, and the long form of the fuzz tests
	@bin=$(dev); $$bin/python -m pytest -q tests/faults && $$bin/python -m pytest -q -m thorough tests/unit tests/runtime/media tests/runtime/sources

test-node: ## on a real node: 20 requests a second through changes of model and operator, every reason for not serving
	@$(dev)/python -m pytest -q -s -m thorough tests/e2e

soak: ## churn on the operator: MINUTES=60 SERVICES=300; fails when something is lost, left over or leaked
	@$(dev)/python -m tests.soak.operator $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SERVICES),--services $(SERVICES))

lint: ## style, types, import contracts
	@bin=$(dev); $$bin/ruff check . && $$bin/ruff format --check . && $$bin/mypy && $$bin/lint-imports

generate: ## write the CRDs, the RBAC and manifests/install.yaml again from their sources
	@bin=$(dev); $$bin/python -m modelservice_operator.tools.crdgen && $$bin/python -m modelservice_operator.tools.rbacgen && $$bin/python -m modelservice_operator.tools.docsgen && HELM=$$($$bin/python -m tests.cluster tool helm) $$bin/python -m modelservice_operator.tools.manifestgen

verify: ## fail when a generated file differs from its source
	@bin=$(dev); $$bin/python -m modelservice_operator.tools.crdgen --check && $$bin/python -m modelservice_operator.tools.rbacgen --check && $$bin/python -m modelservice_operator.tools.docsgen --check && HELM=$$($$bin/python -m tests.cluster tool helm) $$bin/python -m modelservice_operator.tools.manifestgen --check

coverage-fields: ## which test proves which field of the spec; fail when a field has none
	@$(dev)/python -m tests.fields

cluster-up: ## a local cluster (CLUSTER=name), kept until cluster-down
	@$(tools)/python -m tests.cluster up --name $(CLUSTER)

cluster-down: ## remove the cluster and all that it made
	@$(tools)/python -m tests.cluster down --name $(CLUSTER)

images: ## build the operator's, the runtime's and the demo models' images into the cluster
	@$(tools)/python -m tests.quickstart images --cluster $(CLUSTER)

demo-models: ## make the demo models in the cache
	@$(tools)/python -m tests.models build

demo: ## every kind of work on a real cluster, its quality measured
	@$(dev)/python -m tests.demo --cluster $(CLUSTER)

bench-operator: ## measure the operator with 1,000 services (QUICK=1: 200; COUNT=n) on a real control plane
	@$(dev)/python -m tests.bench.operator $(if $(QUICK),--quick) $(if $(COUNT),--count $(COUNT))

bench-runtime: ## measure the runtime beside other servers: 90 minutes, with QUICK=1 about 10
	@$(dev)/python -m tests.bench.runtime $(if $(QUICK),--quick)

lock: ## write the requirement locks again
	@bash tests/tooling/lock.sh
