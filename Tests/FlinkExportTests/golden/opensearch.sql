CREATE TABLE `logs` (
  `id` STRING,
  `v` INT,
  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
)
WITH (
  'connector' = 'opensearch',
  'hosts' = 'http://o:9200',
  'index' = 'logs',
  'sink.bulk-flush.interval' = '1 s'
);
-- table logs: 'sink.commit.interval' left out: Flink flushes with its checkpoints: 'execution.checkpointing.interval'
-- org.apache.flink:flink-sql-connector-opensearch:1.2.0-1.19
