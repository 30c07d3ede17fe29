-- Joins with hints, from a nightly run in batch mode of Flink 1.18.
-- runs
-- notice: setting 'execution.runtime-mode' = 'batch' means nothing here: input with an end is read to it in streaming mode; queries give the same final rows, and sinks the changes that lead to them
-- notice: setting 'execution.batch.adaptive.auto-parallelism.enabled' means nothing here: there is no batch mode
-- notice: setting 'table.optimizer.join.broadcast-threshold' means nothing here: plans are improved by rules of this engine's own
-- notice: table rates: option 'source.report-statistics' means nothing here: plans do not depend on statistics
-- notice: hint BROADCAST(r) means nothing here: both sides of a join are in one process
-- notice: hint SHUFFLE_HASH(o, r) means nothing here: both sides of a join are in one process
SET 'execution.runtime-mode' = 'batch';
SET 'execution.batch.adaptive.auto-parallelism.enabled' = 'false';
SET 'table.optimizer.join.broadcast-threshold' = '10485760';

CREATE TABLE orders (
  order_id BIGINT, customer STRING, amount DOUBLE, currency STRING, ts STRING
) WITH ('connector' = 'filesystem', 'path' = '${DATA}/orders.jsonl', 'format' = 'json');

CREATE TEMPORARY TABLE rates (currency STRING, rate DOUBLE) WITH (
  'connector' = 'filesystem', 'path' = '${DATA}/rates.csv', 'format' = 'csv', 'source.report-statistics' = 'NONE'
);

CREATE TABLE converted (order_id BIGINT, dollars DOUBLE) WITH ('connector' = 'filesystem', 'path' = '${OUT}/converted', 'format' = 'json');

/* The small side goes everywhere. */
INSERT INTO converted
SELECT /*+ BROADCAST(r) */ o.order_id, o.amount * r.rate
FROM orders AS o JOIN rates AS r ON o.currency = r.currency
WHERE o.order_id < 4;

INSERT INTO converted
SELECT /*+ SHUFFLE_HASH(o, r) */ o.order_id, o.amount * r.rate
FROM orders AS o JOIN rates AS r ON o.currency = r.currency
WHERE o.order_id >= 4;
