# perf-api: set up, measure, test. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
BINARY := $(CARGO_TARGET_DIR)/release/perf-api

# A component with a lock file gets what the lock file names; adding one is adding a folder.
PYTHON_COMPONENTS := $(patsubst %/requirements.txt,%,$(wildcard apps/*/requirements.txt))
NODE_COMPONENTS := $(patsubst %/package-lock.json,%,$(wildcard apps/*/package-lock.json))
# Without these the rest can be measured: a failed installation is told, and the bundle says so.
OPTIONAL_COMPONENTS := apps/valkey

# All of what `cargo test` does a little of, each test started by a target of its own.
TRUST := PERF_API_THOROUGH=1 cargo test --release --locked --test trust -- --nocapture --test-threads 1

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

.PHONY: quick
quick: setup ## set up what is missing, then the smoke run: half a minute
	./perf-api quick

.PHONY: setup
setup: bundle.json ## install and pin the components, build the program

.PHONY: images
images: perf-api ## make the Docker images of the components, and pin them
	@tools/setup-system images
	tools/make-images images
	@$(MAKE) --no-print-directory bundle.json

# Where tests keep what the loader can drive: never the user's cache.
TEST_CACHE := $(CARGO_TARGET_DIR)/tmp/cache
smoke docker-test newer-docker-test: private export XDG_CACHE_HOME := $(TEST_CACHE)

.PHONY: test
test: setup ## every test, with real servers; a busy host does not make it fail
	cargo test --release --locked

.PHONY: unit-test
unit-test: setup ## every test that starts no real server
	cargo test --release --locked --lib --bins --test cli --test deps --test stats --test tidy --test trust

.PHONY: busy-test
busy-test: setup ## the tests with real servers, beside a busy loop on each CPU
	cargo test --release --locked --test real --no-run
	tools/beside-busy-loops cargo test --release --locked --test real

.PHONY: quiet-test
quiet-test: setup ## rates, latencies and verdicts of servers of known behaviour; nothing else may run
	cargo test --release --locked --test quiet -- --test-threads 1
	python3 tests/truth/truth.py ./perf-api --ours-only --cases stall-400ms

.PHONY: ci
ci: format lint unit-test busy-test smoke truth-smoke stats-oracle report-test browser-test store-test docker-test newer-docker-test nix-test crash-test flip-test fuzz ## what has to pass before a change lands

# What the report embeds.
PLOTLY := src/report/plotly/node_modules/.installed
$(PLOTLY): src/report/plotly/package-lock.json | system
	cd src/report/plotly && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Built once a machine: cargo-deny in two minutes, nixfmt in half a minute.
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

# On a busy host two measured runs have nothing to compare.
COMPUTED := $(CARGO_TARGET_DIR)/computed
.PHONY: report-test
report-test: smoke $(CARGO_TARGET_DIR)/test-venv/installed ## the report in a browser, the dataset in DuckDB, the README
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
browser-test: smoke tests/browser/node_modules/.installed ## the page in Chromium: filters, links, downloads, hostile names, accessibility; and `serve`
	tools/setup-system browser
	tests/browser/test.sh ./perf-api

.PHONY: report-bench
report-bench: perf-api ## the page's build, size and opening, beside pandas and plotly: 2 minutes
	tools/setup-system browser
	benches/report/bench.sh ./perf-api $(CARGO_TARGET_DIR)/report-bench

.PHONY: store-test
store-test: setup $(CARGO_TARGET_DIR)/store-venv/installed $(CARGO_TARGET_DIR)/test-venv/installed ## datasets in an S3 server, in DuckDB, and at the prompt
	$(CARGO_TARGET_DIR)/store-venv/bin/python tests/store/s3.py ./perf-api
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/store/duckdb_agrees.py ./perf-api example
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/store/forged.py ./perf-api results/$$(cat results/refs/example)
	python3 tests/store/prompt.py ./perf-api results

# A daemon of its own with its data in a folder, ended with the test.
with_docker = trap 'tools/dockerd stop $(1)' EXIT; tools/dockerd start $(1); export DOCKER_HOST=unix://$(1)/docker.sock
WITH_DOCKER := $(call with_docker,$(CARGO_TARGET_DIR)/docker)
DOCKER_TESTS := cargo test --release --locked --test docker -- --nocapture --test-threads 1
.PHONY: docker-test
docker-test: images ## the images made twice are the same; the quick run and faults in containers of a Docker daemon of its own
	@tools/setup-system docker-test
	tools/make-images $(CARGO_TARGET_DIR)/images-again
	for image in images/*.tar; do cmp $$image $(CARGO_TARGET_DIR)/images-again/$$(basename $$image); done
	$(WITH_DOCKER); ./perf-api quick --launcher docker --stores redis,valkey; $(DOCKER_TESTS)

NEWER_DOCKER := $(CARGO_TARGET_DIR)/newer-docker
.PHONY: newer-docker-test
newer-docker-test: images ## runs and images in the Docker of Debian's next release, which keeps them in containerd's store
	@tools/setup-system docker-test
	tools/newer-docker $(NEWER_DOCKER)
	export DOCKERD=$(NEWER_DOCKER)/dockerd; $(call with_docker,$(NEWER_DOCKER)-data); \
	  ./perf-api quick --launcher docker --stores redis,valkey; $(DOCKER_TESTS) containers:: images:: registry::

.PHONY: fault-test
fault-test: images ## faults in the middle of a run in containers: a table of what each became
	@tools/setup-system docker-test
	$(WITH_DOCKER); $(DOCKER_TESTS) faults

.PHONY: nix-test
nix-test: setup $(CARGO_DENY) $(NIXFMT) ## the flake, as far as it can be checked without nixpkgs
	@tools/setup-system nix
	$(WITH_DOCKER); tests/nix/test.sh $(CARGO_TARGET_DIR)/nix-test

.PHONY: measure-network-path
measure-network-path: images ## what a published port costs, as ratios
	$(WITH_DOCKER); tests/docker/measure-network-path.sh

.PHONY: measure-overhead
measure-overhead: images ## what a run takes beside its trials, and where
	$(WITH_DOCKER); tests/docker/measure-overhead.sh

.PHONY: crash-test
crash-test: setup ## kill 100 runs at random moments, 5 of them with real servers
	$(TRUST) crash

.PHONY: flip-test
flip-test: perf-api ## flip each byte of a dataset
	$(TRUST) flip

.PHONY: fuzz
fuzz: perf-api ## feed hostile input to what reads files; PERF_API_FUZZ_CASES says how much
	$(TRUST) fuzz

.PHONY: truth-smoke
truth-smoke: setup
	python3 tests/truth/truth.py --self-test
	python3 tests/truth/truth.py ./perf-api --any-host --cases stall-400ms

.PHONY: truth-test
truth-test: setup ## a server of known behaviour: theory, our figures, oha's own and wrk's
	@tools/setup-system truth-test
	python3 tests/truth/truth.py ./perf-api

STATS := PERF_API_THOROUGH=1 cargo test --release --locked --test stats -- --nocapture --test-threads 1
.PHONY: stats-test
stats-test: perf-api ## comparisons of data whose truth is known: false alarms, coverage and power, beside other tests
	$(STATS)

.PHONY: stats-oracle
stats-oracle: $(CARGO_TARGET_DIR)/stats-venv/installed ## the published numbers are those of SciPy, statsmodels, Otava, and limma where R has it
	$(CARGO_TARGET_DIR)/stats-venv/bin/python tests/stats/oracle.py --check

.PHONY: ab-test
ab-test: setup ## a slowed Express is told from Express, and Express is not told from itself: 10 minutes
	tests/ab/ab.sh ./perf-api

.PHONY: scale-test
scale-test: perf-api $(CARGO_TARGET_DIR)/test-venv/installed ## ask a thousand datasets, beside DuckDB
	rm -rf $(CARGO_TARGET_DIR)/scale
	PERF_API_SCALE_DIR=$(CARGO_TARGET_DIR)/scale $(TRUST) scale
	$(CARGO_TARGET_DIR)/test-venv/bin/python tests/store/scale.py ./perf-api $(CARGO_TARGET_DIR)/scale

.PHONY: clean
clean: ## remove what was installed and built; results stay
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

# Pinned anew each time: it takes a second, and what changed on the system is then known.
.PHONY: bundle.json
bundle.json: perf-api $(addsuffix /.venv/installed,$(PYTHON_COMPONENTS)) $(addsuffix /node_modules/.installed,$(NODE_COMPONENTS))
	@tools/setup-system run
	@./perf-api bundle $$([ -d images ] && echo --images images) $(sort $(dir $(wildcard apps/*/component.toml))) >/dev/null

apps/%/.venv/installed: apps/%/requirements.txt | system
	@tools/setup-system run
	@tools/setup-python apps/$* || $(if $(filter apps/$*,$(OPTIONAL_COMPONENTS)),echo "apps/$* cannot be had on this machine; the rest can be measured" >&2,exit 1)

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
