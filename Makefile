# The front door. It is thin on purpose: Meson and Ninja build, tools/ does the rest, and every
# target says in one line what it is for (`make help`).

SHELL = /bin/bash
.DEFAULT_GOAL = all

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=

# Where the protocol's facts lie beside a checkout, tests compare the schemas with them as well.
export OTTLA_REFERENCE ?= $(abspath $(wildcard ../shared/reference))

.PHONY: all
all: ## Build build/ottla, after installing what the build needs and this machine lacks
	@tools/deps.sh build
	@tools/build.sh build ottla

.PHONY: run
run: all ## Build, and run a broker on localhost:9092 in the foreground, with its data in ./data
	@exec build/ottla server config/server.properties --override log.dirs=./data

.PHONY: test
test: ## Run every test; the last line is "N passed, N failed"
	@tools/verify.py test

.PHONY: check
check: ## In under a minute: two compilers, unit tests, tidy, format
	@tools/verify.py check

.PHONY: san
san: ## Run the tests with AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/deps.sh build check
	@tools/verify.py san

.PHONY: tsan
tsan: ## Run the unit tests with ThreadSanitizer
	@tools/deps.sh build check
	@tools/verify.py tsan

.PHONY: sim
sim: ## Run simulated clusters through faults: SEED=n, or SEEDS=a-b; more in OPTIONS (see test/sim)
	@tools/deps.sh build check
	@tools/build.sh build --quiet test/sim/sim
	@build/test/sim/sim $(if $(SEED),--seed=$(SEED) --verbose,--seeds=$(or $(SEEDS),1-300)) $(OPTIONS)

.PHONY: soak
soak: ## Run the long tests for SOAK_SECONDS=3600, or only PART=sim|faults|kills|load
	@SOAK_SECONDS="$(SOAK_SECONDS)" PART="$(PART)" tools/soak.sh

.PHONY: bench
bench: ## Measure the broker beside a probe of the machine (FULL=1, ONLY=regex, SOAK=seconds)
	@tools/deps.sh build
	@tools/build.sh build --quiet ottla bench/load bench/probe
	@FULL="$(FULL)" ONLY="$(ONLY)" SOAK="$(SOAK)" bench/run.py
	@test "$(FULL)" != 1 || meson test -C build --benchmark --verbose

.PHONY: bench-cluster
bench-cluster: ## Measure three brokers: what replication costs, how long a loss takes (ONLY=regex)
	@tools/deps.sh build test
	@tools/build.sh build --quiet ottla bench/load
	@ONLY="$(ONLY)" bench/replication.py

.PHONY: fuzz
fuzz: ## Fuzz every decoder for FUZZ_SECONDS=60 each, or only TARGET=name
	@tools/deps.sh build check
	@TARGET="$(TARGET)" FUZZ_SECONDS="$(FUZZ_SECONDS)" tools/fuzz.sh

.PHONY: cover
cover: ## Run the unit tests and say which lines they reach (build-cover/coverage.txt)
	@tools/deps.sh build check
	@tools/build.sh build-cover --quiet
	@meson test -C build-cover --suite unit --quiet
	@tools/cover.py build-cover

.PHONY: format
format: ## Format all C files
	@tools/deps.sh check
	@tools/format.sh

.PHONY: install
install: all ## Install under PREFIX (default /usr/local), staged below DESTDIR if that is set
	@meson configure build -Dprefix=$(PREFIX) -Dsysconfdir=$(SYSCONFDIR)
	@tools/build.sh build --quiet ottla dist/ottla.1
	@meson install -C build --no-rebuild --destdir "$(DESTDIR)" --quiet
	@test -n "$(DESTDIR)" || echo "As a service: systemd-sysusers, then systemctl enable --now ottla"

.PHONY: clean
clean: ## Remove what was built; data/ stays
	@rm -rf build build-*

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
