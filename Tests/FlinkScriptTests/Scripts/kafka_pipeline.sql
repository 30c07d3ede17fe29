-- Topic to topic with the connector of Flink 1.13; properties of the Java client stay in place.
-- notice: table events: option 'properties.key.deserializer' means nothing here: it is of Kafka's client in Java
-- notice: table events: option 'properties.max.poll.records' means nothing here: it is of Kafka's client in Java
-- notice: table events: option 'scan.watermark.alignment.group' means nothing here: the split that is furthest behind is read first
-- notice: table events: option 'scan.watermark.alignment.max-drift' means nothing here: the split that is furthest behind is read first
CREATE TABLE events (
  user_id BIGINT,
  action STRING,
  amount DOUBLE,
  kafka_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
  kafka_partition BIGINT METADATA FROM 'partition' VIRTUAL,
  proc_time AS PROCTIME(),
  WATERMARK FOR kafka_time AS kafka_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'events',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.group.id' = 'flink-events',
  'properties.key.deserializer' = 'org.apache.kafka.common.serialization.StringDeserializer',
  'properties.max.poll.records' = '500',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '5 min',
  'scan.parallelism' = '2',
  'scan.watermark.idle-timeout' = '30 s',
  'scan.watermark.alignment.group' = 'g1',
  'scan.watermark.alignment.max-drift' = '1 min',
  'format' = 'json',
  'json.fail-on-missing-field' = 'false',
  'json.ignore-parse-errors' = 'true',
  'json.timestamp-format.standard' = 'ISO-8601'
);
CREATE TABLE totals (
  user_id BIGINT, total DOUBLE, PRIMARY KEY (user_id) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'totals',
  'properties.bootstrap.servers' = 'localhost:9092',
  'key.format' = 'json', 'value.format' = 'json',
  'sink.buffer-flush.max-rows' = '1000', 'sink.buffer-flush.interval' = '1 s',
  'sink.parallelism' = '2'
);
CREATE TABLE copies (user_id BIGINT, action STRING) WITH (
  'connector' = 'kafka', 'topic' = 'copies', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'csv',
  'sink.semantic' = 'at-least-once', 'sink.partitioner' = 'round-robin'
);
INSERT INTO totals SELECT user_id, SUM(amount) FROM events /*+ OPTIONS('scan.startup.mode' = 'latest-offset') */ GROUP BY user_id;
INSERT INTO copies SELECT user_id, action FROM events;
