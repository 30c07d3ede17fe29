CREATE TABLE `orders` (
  `id` STRING,
  `v` INT,
  `at` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
)
WITH (
  'connector' = 'kafka',
  'key.fields' = 'id',
  'key.format' = 'raw',
  'properties.bootstrap.servers' = 'b:9092',
  'properties.group.id' = 'g',
  'properties.sasl.jaas.config' = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="a\"b";',
  'properties.sasl.mechanism' = 'SCRAM-SHA-256',
  'properties.security.protocol' = 'SASL_SSL',
  'scan.bounded.mode' = 'latest-offset',
  'scan.startup.mode' = 'earliest-offset',
  'topic' = 'orders',
  'value.format' = 'json',
  'value.json.ignore-parse-errors' = 'true'
);
-- table orders: 'properties.statistics.interval.ms' left out: it tunes librdkafka
-- org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2
