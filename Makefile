# perf-api: set up, measure, test. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
BINARY := $(CARGO_TARGET_DIR)/release/perf-api

# A component is a folder; the packages in its lock file are installed.
PYTHON_COMPONENTS := $(patsubst %/requirements.txt,%,$(wildcard apps/*/requirements.txt))
NODE_COMPONENTS := $(patsubst %/package-lock.json,%,$(wildcard apps/*/package-lock.json))
# The others can be measured without these: a failed installation is reported and recorded in the bundle.
OPTIONAL_COMPONENTS := apps/valkey

# The full versions of tests of which `cargo test` runs a small part; each has its own target.
TRUST := PERF_API_THOROUGH=1 cargo test --release --locked --test trust -- --nocapture --test-threads 1

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

.PHONY: quick
quick: setup ## set up, then do the smoke run: half a minute
	./perf-api quick

.PHONY: setup
setup: bundle.json ## install and pin the components, build the program

.PHONY: images
images: perf-api ## make the Docker images of the components, and pin them
	@tools/setup-system images
	tools/make-images images
	@$(MAKE) --no-print-directory bundle.json

# The cache of loader ceilings for tests: never the user's.
TEST_CACHE := $(CARGO_TARGET_DIR)/tmp/cache
smoke docker-test newer-docker-test: private export XDG_CACHE_HOME := $(TEST_CACHE)

.PHONY: test
test: setup ## run every test, with real servers; a busy host is fine
	cargo test --release --locked

.PHONY: unit-test
unit-test: setup ## run every test without real servers
	cargo test --release --locked --lib --bins --test cli --test deps --test stats --test tidy --test trust

.PHONY: real-test
real-test: setup ## run the tests with real servers
	cargo test --release --locked --test real

.PHONY: busy-test
busy-test: setup ## run the tests with real servers beside a busy loop on each CPU
	cargo test --release --locked --test real --no-run
	tools/beside-busy-loops cargo test --release --locked --test real

.PHONY: quiet-test
quiet-test: setup ## check rates, latencies and verdicts; nothing else may run
	cargo test --release --locked --test quiet -- --test-threads 1
	python3 tests/truth/truth.py ./perf-api --ours-only --cases stall-400ms

.PHONY: ci checks
ci: ## run all checks that a change has to pass, two at a time
	+$(MAKE) --jobs 2 --output-sync=target LANES=1 checks

checks: format lint unit-test real-test smoke truth-smoke stats-oracle report-test browser-test store-test docker-test newer-docker-test nix-test crash-test flip-test fuzz

# Shared files are built before the checks that read them. The checks with real servers run one after
# another, and so do those with a Docker daemon; the two sequences run side by side, so each check is also
# tested on a busy machine.
ifdef LANES
lint: | format
unit-test: | lint images
smoke truth-smoke stats-oracle store-test flip-test fuzz docker-test: | unit-test
real-test: | smoke
report-test: | real-test
browser-test crash-test: | report-test
newer-docker-test: | docker-test
nix-test: | newer-docker-test
endif

# Runs of two checks at a time do not wait for each other's CPUs.
RESERVING := smoke real-test truth-smoke report-test docker-test newer-docker-test nix-test crash-test
RESERVATIONS := $(CARGO_TARGET_DIR)/tmp/reservations
$(RESERVING): private export PERF_API_RESERVATIONS = $(RESERVATIONS)/$@
$(RESERVING): | $(addprefix $(RESERVATIONS)/,$(RESERVING))
$(RESERVATIONS)/%:
	mkdir -p $@

# The JavaScript that the report embeds.
PLOTLY := src/report/plotly/node_modules/.installed
$(PLOTLY): src/report/plotly/package-lock.json | system
	cd src/report/plotly && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Built once per machine: cargo-deny in two minutes, nixfmt in half a minute.
CARGO_DENY := $(CARGO_TARGET_DIR)/tools/bin/cargo-deny
NIXFMT := $(CARGO_TARGET_DIR)/tools/bin/nixfmt
$(CARGO_DENY): TOOL := cargo-deny --version =0.20.2
# nixfmt in Rust, with the same output.
$(NIXFMT): TOOL := nixfmt_rs --version =0.5.3
$(CARGO_DENY) $(NIXFMT): | system
	cargo install $(TOOL) --locked --debug --root $(CARGO_TARGET_DIR)/tools --target-dir $(CARGO_TARGET_DIR)/tools/build-$(@F)
	rm -rf $(CARGO_TARGET_DIR)/tools/build-$(@F)

.PHONY: format
format: system
	cargo fmt --check

.PHONY: lint
lint: $(PLOTLY) $(NIXFMT) $(CARGO_DENY)
	cargo clippy --release --locked --all-targets -- --deny warnings
	cargo clippy --release --locked --test docker --test quiet -- --deny warnings
	tools/lint-locks
	$(CARGO_DENY) --offline check bans licenses sources
	$(NIXFMT) --check flake.nix $$(find nix tests/nix -name '*.nix')

.PHONY: smoke
smoke: setup
	./perf-api quick
	./perf-api plan full --format json | jq --exit-status '.trials | length == 960'

# Computed runs: on a busy host, measured runs may not be comparable.
COMPUTED := $(CARGO_TARGET_DIR)/computed
.PHONY: report-test
report-test: smoke $(CARGO_TARGET_DIR)/test-venv/installed ## check the report in a browser, the dataset in DuckDB, and the README
	tools/setup-system browser
	tests/report/browser.sh results/report.html 1
	tests/report/same_bytes.sh ./perf-api example
	tests/report/same_journal.sh ./perf-api --stores redis
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/report/duckdb_agrees.py results
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/report/readme.py
	rm -rf $(COMPUTED)
	for seed in 1 2; do ./perf-api quick --fake --stores redis --repetitions 3 --seed $$seed --results $(COMPUTED) --no-progress; done
	./perf-api report --results $(COMPUTED) --compare latest~1 latest --force --output $(COMPUTED)/comparison.html
	tests/report/browser.sh $(COMPUTED)/comparison.html 1

.PHONY: browser-test
browser-test: smoke tests/browser/node_modules/.installed ## test the pages of `report` and `serve` in Chromium
	tools/setup-system browser
	tests/browser/test.sh ./perf-api

.PHONY: report-bench
report-bench: perf-api ## compare build, size and opening of the page with pandas and plotly: 2 minutes
	tools/setup-system browser
	benches/report/bench.sh ./perf-api $(CARGO_TARGET_DIR)/report-bench

.PHONY: store-test
store-test: setup $(CARGO_TARGET_DIR)/store-venv/installed $(CARGO_TARGET_DIR)/test-venv/installed ## test datasets in an S3 server, in DuckDB, and at the prompt
	$(CARGO_TARGET_DIR)/store-venv/bin/python tests/store/s3.py ./perf-api
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/store/duckdb_agrees.py ./perf-api example
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/store/forged.py ./perf-api results/$$(cat results/refs/example)
	python3 tests/store/prompt.py ./perf-api results

# A Docker daemon with its data in a folder, ended with the test.
with_docker = trap 'tools/dockerd stop $(1)' EXIT; tools/dockerd start $(1); export DOCKER_HOST=unix://$(1)/docker.sock
WITH_DOCKER := $(call with_docker,$(CARGO_TARGET_DIR)/docker)
DOCKER_QUICK := ./perf-api quick --launcher docker --stores redis,valkey --results $(CARGO_TARGET_DIR)/docker-results
DOCKER_TESTS := cargo test --release --locked --test docker -- --nocapture --test-threads 1
.PHONY: docker-test
docker-test: images ## test images, runs and faults with a separate Docker daemon
	@tools/setup-system docker-test
	tools/make-images $(CARGO_TARGET_DIR)/images-again
	for image in images/*.tar; do cmp $$image $(CARGO_TARGET_DIR)/images-again/$$(basename $$image); done
	$(WITH_DOCKER); $(DOCKER_QUICK); $(DOCKER_TESTS)

NEWER_DOCKER := $(CARGO_TARGET_DIR)/newer-docker
.PHONY: newer-docker-test
newer-docker-test: images ## test runs and images with the Docker of Debian's next release
	@tools/setup-system docker-test
	tools/newer-docker $(NEWER_DOCKER)
	export DOCKERD=$(NEWER_DOCKER)/dockerd; $(call with_docker,$(NEWER_DOCKER)-data); \
	  $(DOCKER_QUICK); $(DOCKER_TESTS) containers:: images:: registry::

.PHONY: fault-test
fault-test: images ## print a table of faults in containers and their outcomes
	@tools/setup-system docker-test
	$(WITH_DOCKER); $(DOCKER_TESTS) faults

.PHONY: nix-test
nix-test: setup $(CARGO_DENY) $(NIXFMT) ## test the flake, as far as possible without nixpkgs
	@tools/setup-system nix
	$(WITH_DOCKER); tests/nix/test.sh $(CARGO_TARGET_DIR)/nix-test

.PHONY: measure-network-path
measure-network-path: images ## measure the cost of a published port, as ratios
	$(WITH_DOCKER); tests/docker/measure-network-path.sh

.PHONY: measure-overhead
measure-overhead: images ## measure the overhead of a run
	$(WITH_DOCKER); tests/docker/measure-overhead.sh

.PHONY: crash-test
crash-test: setup ## kill 100 runs at random moments, 5 of them with real servers
	$(TRUST) crash

.PHONY: flip-test
flip-test: perf-api ## flip each byte of a dataset
	$(TRUST) flip

.PHONY: fuzz
fuzz: perf-api ## fuzz the readers of files; PERF_API_FUZZ_CASES sets the number of cases
	$(TRUST) fuzz
	PERF_API_THOROUGH=1 cargo test --release --locked --lib built_in::hostile -- --nocapture --test-threads 1

.PHONY: truth-smoke
truth-smoke: setup
	python3 tests/truth/truth.py --self-test
	python3 tests/truth/truth.py ./perf-api --any-host --cases stall-400ms

.PHONY: truth-test
truth-test: setup ## compare figures of a known server with theory, oha and wrk
	@tools/setup-system truth-test
	python3 tests/truth/truth.py ./perf-api

.PHONY: loader-bench
loader-bench: setup ## compare how much load wrk, oha and the built-in loader drive: 4 minutes; nothing else may run
	@tools/setup-system truth-test
	python3 benches/loader/bench.py ./perf-api

STATS := PERF_API_THOROUGH=1 cargo test --release --locked --test stats -- --nocapture --test-threads 1
.PHONY: stats-test
stats-test: perf-api ## measure false alarms, coverage and power of comparisons
	$(STATS)

.PHONY: stats-oracle
stats-oracle: $(CARGO_TARGET_DIR)/stats-venv/installed ## compare statistics with SciPy, statsmodels, Otava and limma
	$(CARGO_TARGET_DIR)/stats-venv/bin/python tests/stats/oracle.py --check

.PHONY: ab-test
ab-test: setup ## detect a slowed Express, and no change of an unchanged one: 10 minutes
	tests/ab/ab.sh ./perf-api

.PHONY: scale-test
scale-test: perf-api $(CARGO_TARGET_DIR)/test-venv/installed ## query a thousand datasets, compared with DuckDB
	rm -rf $(CARGO_TARGET_DIR)/scale
	PERF_API_SCALE_DIR=$(CARGO_TARGET_DIR)/scale $(TRUST) scale
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/store/scale.py ./perf-api $(CARGO_TARGET_DIR)/scale

.PHONY: clean
clean: ## remove installed and built files; results stay
	rm -rf $(addsuffix /.venv,$(PYTHON_COMPONENTS)) $(addsuffix /node_modules,$(NODE_COMPONENTS))
	rm -rf bundle.json perf-api
	cargo clean --package perf-api

.PHONY: system
system:
	@tools/setup-system build

.PHONY: perf-api
perf-api: $(PLOTLY) | system
	cargo build --release --locked
	@ln -sfn $(BINARY) perf-api

# Pinned again each time: it takes a second and detects changes of the system.
.PHONY: bundle.json
bundle.json: perf-api $(addsuffix /.venv/installed,$(PYTHON_COMPONENTS)) $(addsuffix /node_modules/.installed,$(NODE_COMPONENTS))
	@tools/setup-system run
	@./perf-api bundle $$([ -d images ] && echo --images images) $(sort $(dir $(wildcard apps/*/component.toml))) >/dev/null

apps/%/.venv/installed: apps/%/requirements.txt | system
	@tools/setup-system run
	@tools/setup-python apps/$* || $(if $(filter apps/$*,$(OPTIONAL_COMPONENTS)),echo "apps/$* cannot be installed on this machine; the others can be measured" >&2,exit 1)

tests/browser/node_modules/.installed: tests/browser/package-lock.json | system
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

apps/%/node_modules/.installed: apps/%/package-lock.json | system
	@tools/setup-system run
	cd apps/$* && npm ci --ignore-scripts --omit=dev --no-audit --no-fund
	@touch $@

$(CARGO_TARGET_DIR)/test-venv/installed: tests/report/requirements.txt | system
$(CARGO_TARGET_DIR)/store-venv/installed: tests/store/requirements.txt | system
$(CARGO_TARGET_DIR)/stats-venv/installed: tests/stats/requirements.txt | system
$(CARGO_TARGET_DIR)/%-venv/installed:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --require-hashes --no-deps --only-binary=:all: -r $<
	@touch $@
