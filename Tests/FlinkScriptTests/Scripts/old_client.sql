-- The unquoted settings of the SQL client of Flink 1.13, and its way to write a statement set.
-- runs
-- notice: setting 'execution.planner' means nothing here: plans are improved by rules of this engine's own
-- notice: setting 'table.exec.shuffle-mode' means nothing here: there is no network shuffle
-- notice: setting 'state.backend.incremental' means nothing here: checkpoints are written in a way of their own
-- notice: setting 'execution.checkpointing.mode' = 'AT_LEAST_ONCE' means nothing here: checkpoints are exactly once, which is more
set execution.runtime-mode = streaming;
set execution.planner = blink;
SET table.exec.shuffle-mode=ALL_EDGES_PIPELINED;
SET table.local-time-zone = Asia/Shanghai;
SET table.exec.mini-batch.enabled = true; -- with both of its bounds
SET table.exec.mini-batch.allow-latency = 1s;
SET table.exec.mini-batch.size = 500;
SET state.backend = hashmap;
SET state.backend.incremental = true;
SET execution.checkpointing.interval = 3s;
SET execution.checkpointing.mode = AT_LEAST_ONCE;
RESET execution.checkpointing.interval;

CREATE TABLE orders (
  order_id BIGINT, customer STRING, amount DOUBLE, currency STRING, ts STRING
) WITH ('connector' = 'filesystem', 'path' = '${DATA}/orders.jsonl', 'format' = 'json');

CREATE TABLE large_orders (order_id BIGINT, customer STRING) WITH ('connector' = 'filesystem', 'path' = '${OUT}/large_orders', 'format' = 'json');
CREATE TABLE euros (order_id BIGINT, amount DOUBLE) WITH ('connector' = 'filesystem', 'path' = '${OUT}/euros', 'format' = 'json');

BEGIN STATEMENT SET;
INSERT INTO large_orders SELECT order_id, UPPER(customer) FROM orders WHERE amount > 10;
INSERT INTO euros SELECT order_id, amount FROM orders WHERE currency = 'EUR';
END;
