# What can be done here; each target installs what it needs and finds missing (Debian packages, as root or with sudo; one of PyPI).
PYTHON ?= /usr/bin/python3
# Apache Kafka for the tests: the script that runs it, or an unpacked release in KAFKA_HOME; either needs Java. Where there is
# neither, PyPI's noida-db takes its place in demo, kills and end-to-end tests.
KAFKA_SCRIPT ?= ../shared/kafka/kafka
export KAFKA_SCRIPT := $(abspath $(KAFKA_SCRIPT))
# Which server the demo runs on: 26.9 or 18.16.
CLICKHOUSE ?= 26.9
# Seeds that `make sim` runs, and those whose trace it compares between two processes (hashes are seeded anew in each).
SEEDS ?= 1..10000
TRACED ?= 1 2 3 5 8 13 21 34
# How long `make fuzz` runs each fuzzer, seconds.
FUZZ_SECONDS ?= 30
broker := $(if $(wildcard $(KAFKA_SCRIPT))$(KAFKA_HOME),java,broker)
pytest := $(PYTHON) -m pytest -q -rs --durations=6 -p no:cacheprovider

# Files of Python tests that run side by side; most of their time is waiting.
WORKERS ?= 2

# Where `make install` puts things; DESTDIR goes before it, for packages.
PREFIX ?= /usr/local
UNITDIR ?= /lib/systemd/system

.PHONY: help setup toolchain build install install-files uninstall demo test test-swift test-python test-long long bench sim mutants tsan fuzz kills ci format format-check
help:
	@echo "make setup     install what is missing: build libraries, ClickHouse 18.16 and 26.9, kcat, pytest, Java where Kafka is there"
	@echo "make build     the release binary: .build/release/millrace"
	@echo "make install   build it without need of Swift's libraries and put it below PREFIX, with completion and a systemd unit"
	@echo "make demo      2,000,000 events, engine and ClickHouse killed with -9, then the proof (CLICKHOUSE=18.16 for the old one)"
	@echo "make test      all tests but the long ones: Swift, then servers, proof and end to end"
	@echo "make long      what takes too long for that: every fault point twice in each mode, kills, more seeds, mutants, fuzzing; 2 hours at most"
	@echo "make sim       the simulator, 10,000 seeds, and that a seed runs the same in two processes"
	@echo "make mutants   the simulator must catch every planted mistake of Tests/Mutants, in a copy of the sources that has them all"
	@echo "make tsan      the engine on its real threads, under the thread sanitizer"
	@echo "make fuzz      readers of log, ledger, manifest, JSON, pipeline files, Native blocks and ClickHouse's answers against libFuzzer, FUZZ_SECONDS each"
	@echo "make kills     exactness under kill -9 at full size: token + provenance, and read-back on both servers, alone and with others who write"
	@echo "make bench     rate and CPU per event, each part alone, stalls of checkpoints, recovery, growth of the state, latency"
	@echo "make format    lay the sources out"
	@echo "make ci        what continuous integration runs"

setup:
	@sh Tests/Servers/install $(broker) clickhouse26 rdkafka build

toolchain:
	@version=$$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1); \
	[ -n "$$version" ] && [ "$$(printf '6.3\n%s\n' "$$version" | sort -V | head -n 1)" = 6.3 ] || \
	{ echo "Swift 6.3 or newer is needed, here is $${version:-none}: https://www.swift.org/install/linux" >&2; exit 1; }

build: toolchain setup
	swift build -c release --product millrace

# Swift's own libraries are linked in; Debian's stay shared. lld: gold warns about Foundation.
static := .build/static/release/millrace
install: setup install-files

install-files: toolchain
	swift build -c release --scratch-path .build/static --product millrace --static-swift-stdlib -Xswiftc -use-ld=lld
	install -D -m 755 -s $(static) $(DESTDIR)$(PREFIX)/bin/millrace
	install -D -m 644 config/reference.yaml $(DESTDIR)$(PREFIX)/share/doc/millrace/reference.yaml
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/millrace/LICENSE
	for example in config/examples/*; do install -D -m 644 "$$example" "$(DESTDIR)$(PREFIX)/share/doc/millrace/examples/$${example##*/}" || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(UNITDIR)
	$(static) completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/millrace
	$(static) completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_millrace
	$(static) completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/millrace.fish
	install -d -m 755 $(DESTDIR)/etc/millrace
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' config/systemd/millrace@.service > $(DESTDIR)$(UNITDIR)/millrace@.service

# Configuration and state are the user's: they stay.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/millrace $(DESTDIR)$(PREFIX)/share/bash-completion/completions/millrace \
	  $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_millrace $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/millrace.fish \
	  $(DESTDIR)$(UNITDIR)/millrace@.service
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/millrace

demo: build
	@$(PYTHON) Benchmarks/demo --clickhouse $(CLICKHOUSE)

test: test-swift test-python

test-swift: toolchain setup
	SWIFT_BACKTRACE=enable=no swift test --disable-xctest --skip CurlTransportTests
	@# Alone: its servers answer on threads of the pool that long tests elsewhere hold for minutes.
	SWIFT_BACKTRACE=enable=no swift test --disable-xctest --skip-build --filter CurlTransportTests

test-python: build
	$(pytest) -n $(WORKERS) --dist loadfile -m "not long" Tests

test-long: build
	$(pytest) -n $(WORKERS) --dist loadfile -m long Tests

long:
	.ci/long

bench: build
	MILLRACE_BENCH=1 swift build -c release --product millrace-parts
	$(PYTHON) Benchmarks/pipeline
	$(PYTHON) Benchmarks/recovery
	$(PYTHON) Benchmarks/growth
	$(PYTHON) Benchmarks/latency

sim: toolchain setup
	swift build -c release --product millrace-sim
	@for seed in $(TRACED); do \
	  .build/release/millrace-sim --seed $$seed > .build/trace-a; .build/release/millrace-sim --seed $$seed > .build/trace-b; \
	  cmp .build/trace-a .build/trace-b || { echo "seed $$seed runs otherwise in another process" >&2; exit 1; }; \
	done; rm -f .build/trace-a .build/trace-b; echo "the same traces in two processes: seeds $(TRACED)"
	.build/release/millrace-sim --seeds $(SEEDS) --require-reach
	.build/release/millrace-sim --seeds 1..500 --profile power-cut --require-reach
	.build/release/millrace-sim --seeds 1..60 --profile weather --require-reach

# A copy of the sources that has every mutant behind a switch; only what changed is copied, so that its build goes on where it stood.
of_mutants := --package-path .build/mutants/package --scratch-path .build/mutants
mutants: toolchain setup
	$(PYTHON) Tests/Mutants/plant .build/mutants/package
	swift build -c release $(of_mutants) --product millrace-sim
	swift build -c release $(of_mutants) --product millracePackageTests
	SWIFT_BACKTRACE=enable=no swift test -c release $(of_mutants) --disable-xctest --skip-build --filter MutantTests
	.build/mutants/release/millrace-sim --mutants

tsan: toolchain setup
	MILLRACE_THREADS=1 SWIFT_BACKTRACE=enable=no swift test -c release --disable-xctest --sanitize=thread --scratch-path .build/tsan

fuzz: toolchain setup
	Tests/Fuzz/run $(FUZZ_SECONDS)

# Token + provenance, read-back on 26.9, read-back on 18.16, each whole, then each while somebody else writes into the table too and uses
# its window up; any wrong row ends it.
kills: build
	$(PYTHON) Tests/Kills/kills --mode token --events 5000000 --kills 50 --server-kills 10 --broker-kills 3
	$(PYTHON) Tests/Kills/kills --mode readback --events 5000000 --kills 50 --server-kills 10 --broker-kills 3
	$(PYTHON) Tests/Kills/kills --mode readback18 --events 5000000 --kills 50 --server-kills 10 --broker-kills 3
	$(PYTHON) Tests/Kills/kills --others --mode token --events 1000000 --kills 20 --server-kills 5 --broker-kills 2
	$(PYTHON) Tests/Kills/kills --others --mode readback --events 1000000 --kills 20 --server-kills 5 --broker-kills 2
	$(PYTHON) Tests/Kills/kills --others --mode readback18 --events 1000000 --kills 20 --server-kills 5 --broker-kills 2

format: toolchain
	swift format -i -r Sources Tests Package.swift

format-check: toolchain
	swift format lint --strict -r Sources Tests Package.swift

ci:
	.ci/run
