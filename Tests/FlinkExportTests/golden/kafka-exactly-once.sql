CREATE TABLE `paid` (
  `id` STRING,
  `v` INT
)
WITH (
  'avro-confluent.url' = 'http://r:8081',
  'connector' = 'kafka',
  'format' = 'avro-confluent',
  'properties.bootstrap.servers' = 'b:9092',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transaction-naming-strategy' = 'pooling',
  'sink.transactional-id-prefix' = 'p',
  'topic' = 'paid'
);
-- table paid: 'sink.commit.interval' left out: Flink commits with its checkpoints: 'execution.checkpointing.interval'
-- table paid: Flink asks for transactions of one hour: the brokers' transaction.max.timeout.ms must allow it, or set 'properties.transaction.timeout.ms'
-- org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2
-- org.apache.flink:flink-sql-avro-confluent-registry:2.3.0
