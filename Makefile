# What can be done here; each target installs what it needs and finds missing (Debian packages, as root or with sudo).
PYTHON ?= /usr/bin/python3
# Apache Kafka for the tests is optional, and it alone needs Java.
KAFKA_SCRIPT ?= ../shared/kafka/kafka
export KAFKA_SCRIPT := $(abspath $(KAFKA_SCRIPT))

.PHONY: help setup test ci
help:
	@echo "make setup   install what the tests need: ClickHouse server, kcat, pytest; Java where Apache Kafka is there"
	@echo "make test    run every test"
	@echo "make ci      what continuous integration runs"

setup:
	@sh Tests/Servers/install $(if $(wildcard $(KAFKA_SCRIPT)),java)

test: setup
	$(PYTHON) -m pytest -q -rs -p no:cacheprovider Tests

ci:
	.ci/run
