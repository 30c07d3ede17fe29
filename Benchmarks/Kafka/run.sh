#!/usr/bin/env bash
# Prints Kafka's part of the speed table. MESSAGES=n changes the size; BOOTSTRAP=host:port names a broker, else one is started:
# Apache Kafka when KAFKA_HOME names a distribution, or tansu, which is quick enough not to be what is measured.
set -euo pipefail
cd "$(dirname "$0")/../.."
swift build -c release --product bench-kafka --pkg-config-path .venv/arrow/pkgconfig -Xswiftc -gnone
bin=$(swift build -c release --show-bin-path)
if [ -z "${BOOTSTRAP:-}" ]; then
  kind=tansu
  [ -z "${KAFKA_HOME:-}" ] || kind=kafka
  export KAFKA_RUN=$(mktemp -d) KAFKA_HEAP=${KAFKA_HEAP:-1g} KAFKA_JVM=${KAFKA_JVM:--XX:+UseG1GC}
  port=28400
  trap 'Tests/Support/kafka/start-broker wipe $kind $port >/dev/null 2>&1; rm -rf "$KAFKA_RUN"' EXIT
  BOOTSTRAP=$(Tests/Support/kafka/start-broker $kind $port | sed -n 's/^bootstrap=//p')
fi
"$bin/bench-kafka" --bootstrap "$BOOTSTRAP" --messages "${MESSAGES:-1000000}"
