-- Options and settings that came with Flink 2.0 to 2.3.
-- notice: setting 'execution.checkpointing.file-merging.enabled' means nothing here: checkpoints are written in a way of their own
-- notice: setting 'table.exec.async-state.enabled' means nothing here: calls are made in the order of the rows
-- notice: setting 'table.optimizer.delta-join.strategy' means nothing here: plans are improved by rules of this engine's own
-- notice: setting 'table.optimizer.multi-join.enabled' means nothing here: plans are improved by rules of this engine's own
-- notice: setting 'state.size-track.keyed-state-enabled' means nothing here: metrics of single states are not taken
-- notice: setting 'execution.state-recovery.from-local' means nothing here: checkpoints are written in a way of their own
-- notice: setting 'table.display.max-column-width' means nothing here: it is of Flink's SQL client
-- notice: setting 'traces.reporters' means nothing here: metrics are served under Flink's names by swiftwater serve
-- notice: setting 'pekko.ask.timeout' means nothing here: one process runs the job: there is no cluster
-- notice: table lines: option 'csv.fail-on-missing-columns' means nothing here: a line with fewer fields than columns is an error
-- notice: hint LOOKUP('table' = 'l', 'retry-predicate' = 'lookup_miss', 'retry-strategy' = 'fixed_delay', 'fixed-delay' = '10s', 'max-attempts' = '3') means nothing here: rows are looked up as the options 'lookup.*' of the table say
SET 'execution.checkpointing.file-merging.enabled' = 'true';
SET 'table.exec.async-state.enabled' = 'true';
SET 'table.optimizer.delta-join.strategy' = 'NONE';
SET 'table.optimizer.multi-join.enabled' = 'false';
SET 'state.size-track.keyed-state-enabled' = 'true';
SET 'execution.state-recovery.claim-mode' = 'NO_CLAIM';
SET 'execution.state-recovery.from-local' = 'true';
SET 'table.display.max-column-width' = '40';
SET 'traces.reporters' = 'otel';
SET 'pekko.ask.timeout' = '60 s';
SET 'table.exec.sink.type-length-enforcer' = 'IGNORE';
SET 'table.exec.legacy-cast-behaviour' = 'DISABLED';
SET 'restart-strategy.type' = 'exponential-delay';
CREATE TABLE lines (a STRING, b STRING) WITH (
  'connector' = 'filesystem', 'path' = '${DATA}/rates.csv', 'format' = 'csv', 'csv.trim-spaces' = 'false', 'csv.fail-on-missing-columns' = 'false'
);
CREATE TABLE probes (a STRING, proc AS PROCTIME()) WITH ('connector' = 'datagen', 'number-of-rows' = '3');
CREATE TABLE found (a STRING, b STRING) WITH ('connector' = 'blackhole');
INSERT INTO found
SELECT /*+ LOOKUP('table' = 'l', 'retry-predicate' = 'lookup_miss', 'retry-strategy' = 'fixed_delay', 'fixed-delay' = '10s', 'max-attempts' = '3') */ p.a, l.b
FROM probes AS p LEFT JOIN lines FOR SYSTEM_TIME AS OF p.proc AS l ON p.a = l.a;
