CREATE TABLE `events` (
  `id` STRING
)
PARTITIONED BY (`id`)
WITH (
  'aws.credentials.basic.accesskeyid' = 'k',
  'aws.credentials.basic.secretkey' = 's',
  'aws.region' = 'eu-west-1',
  'connector' = 'kinesis',
  'format' = 'json',
  'sink.partitioner-field-delimiter' = '-',
  'source.efo.consumer.name' = 'me',
  'source.efo.lifecycle' = 'SELF_MANAGED',
  'source.reader.type' = 'EFO',
  'stream.arn' = 'arn:aws:kinesis:eu-west-1:1:stream/e'
);
-- org.apache.flink:flink-sql-connector-aws-kinesis-streams:6.0.0-2.0
