# make demo | make test | make bench: each does all the set-up it needs.
SHELL := /bin/bash
ARROW := $(CURDIR)/.venv/arrow
export SWIFTWATER_PYTHON := $(CURDIR)/.venv/bin/python
SWIFT_FLAGS := --pkg-config-path $(ARROW)/pkgconfig
RELEASE := swift build -c release --product swiftwater $(SWIFT_FLAGS) -Xswiftc -gnone

.PHONY: all setup build release demo test test-flink chaos chaos-kafka chaos-kinesis simulate fuzz-sql fuzz-service bench bench-nexmark bench-kafka bench-log bench-lake bench-service format clean

all: build

setup:
	@.ci/setup

build: setup
	swift build --product swiftwater $(SWIFT_FLAGS)

release: setup
	$(RELEASE)

# The main job on the embedded shard log: sensors and orders into Hudi tables, read back by an independent reader.
demo: release
	@Examples/demo.sh

test: setup
	@.ci/flink
	@SWIFTWATER_FUZZ_SECONDS=$${SWIFTWATER_FUZZ_SECONDS:-120} .ci/test $(SWIFT_FLAGS)

# A real Flink, on one JobManager and two TaskManagers: what is exported of every topology, example and SQL case gives our rows there.
test-flink: build
	@.ci/flink --install
	$(SWIFTWATER_PYTHON) Tests/Support/flink/test_harness.py
	$(SWIFTWATER_PYTHON) Tests/Support/flink/compare_all.py .build/debug/swiftwater .venv/flink/pyflink
	$(SWIFTWATER_PYTHON) Tests/Support/flink/round_trip.py .build/debug/swiftwater .venv/flink/pyflink

# kill -9 at random moments on the real program: make chaos KILLS=300 SEED=7
KILLS ?= 300
chaos: release
	@$(SWIFTWATER_PYTHON) Tests/Chaos/chaos.py --binary .build/release/swiftwater --kills $(KILLS) $(if $(SEED),--seed $(SEED))

# The same for a job from Kafka to Kafka, exactly once: make chaos-kafka KILLS=100 SEED=7
chaos-kafka: KILLS = 100
chaos-kafka: release
	@$(SWIFTWATER_PYTHON) Tests/Chaos/kafka_chaos.py --binary .build/release/swiftwater --kills $(KILLS) $(if $(SEED),--seed $(SEED))

# The server of the AWS services, with producers, consumers and resharding through boto3: make chaos-kinesis KILLS=50 SEED=7
chaos-kinesis: KILLS = 50
chaos-kinesis: release
	@$(SWIFTWATER_PYTHON) Tests/Chaos/kinesis_chaos.py --binary .build/release/swiftwater --kills $(KILLS) $(if $(SEED),--seed $(SEED))

# Whole jobs under seeded schedulers, with crashes, torn writes and failing disks: make simulate SEEDS=2000
SEEDS ?= 2000
simulate: setup
	swift build -c release --product swiftwater-simulate $(SWIFT_FLAGS) -Xswiftc -gnone
	.build/release/swiftwater-simulate --seeds $(SEEDS)

# Random SQL on the engine and on a reference interpreter: make fuzz-sql SECONDS=600, or SEED=7 CASES=1 to see a case again
SECONDS ?= 120
fuzz-sql: setup
	swift build -c release --product swiftwater-fuzz-sql $(SWIFT_FLAGS) -Xswiftc -gnone
	.build/release/swiftwater-fuzz-sql --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(CASES),--cases $(CASES))

# Malformed and hostile requests to the daemon, made from its own description and of raw bytes: make fuzz-service REQUESTS=10000 SEED=7
REQUESTS ?= 10000
fuzz-service: release
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
	$(SWIFTWATER_PYTHON) Tests/Support/service/fuzz.py .build/release/swiftwater $$data/data 25 $$(( $(REQUESTS) / 4 )) $(or $(SEED),$$RANDOM) 1 $(REQUESTS)

bench: release
	@Benchmarks/run.sh
	@$(MAKE) --no-print-directory bench-nexmark bench-kafka bench-log bench-lake

# The Nexmark queries beside Flink's figures: make bench-nexmark EVENTS=1000000
EVENTS ?= 5000000
bench-nexmark: setup
	swift build -c release --product bench-nexmark $(SWIFT_FLAGS) -Xswiftc -gnone
	.build/release/bench-nexmark --events $(EVENTS)

# Reading and writing Kafka beside librdkafka alone: make bench-kafka MESSAGES=3000000, BOOTSTRAP=host:port for a broker of yours
bench-kafka: setup
	@MESSAGES=$(MESSAGES) BOOTSTRAP=$(BOOTSTRAP) Benchmarks/Kafka/run.sh

# The shard log alone, behind the Kinesis API over HTTP, and from a put to a query's row
bench-log: setup
	for product in bench-shard-log bench-aws bench-end-to-end; do swift build -c release --product $$product $(SWIFT_FLAGS) -Xswiftc -gnone || exit 1; done
	.build/release/bench-shard-log
	.build/release/bench-aws
	.build/release/bench-end-to-end

# Lake tables: inserts, an upsert of every twentieth row, scans and point queries; opening a table of 10,000 instants and 100,000 files
bench-lake: setup
	for product in bench-hudi bench-hudi-open bench-formats; do swift build -c release --product $$product $(SWIFT_FLAGS) -Xswiftc -gnone || exit 1; done
	.build/release/bench-hudi 20000000 zstd 1 changes
	.build/release/bench-hudi-open
	.build/release/bench-formats

# The daemon with ten idle jobs: memory and processor; and how long it takes from a deployment to its first row
bench-service: release
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && $(SWIFTWATER_PYTHON) Benchmarks/Service/figures.py .build/release/swiftwater $$data

format:
	swift format --in-place --recursive --configuration .swift-format Sources Tests Benchmarks Package.swift

clean:
	rm -rf .build
