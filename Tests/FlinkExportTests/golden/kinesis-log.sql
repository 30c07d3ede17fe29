CREATE TABLE `events` (
  `id` STRING
)
WITH (
  'aws.endpoint' = 'http://node:4566',
  'aws.region' = 'us-east-1',
  'connector' = 'kinesis',
  'format' = 'json',
  'source.init.position' = 'AT_TIMESTAMP',
  'source.init.timestamp' = '2024-05-04T19:58:46.000Z',
  'stream.arn' = 'arn:aws:kinesis:us-east-1:123456789012:stream/events'
);
-- table events: stream events of the built-in log is read through the Kinesis API at http://node:4566, where `swiftwater serve --aws-listen` must answer for the same data folder; the workers need AWS credentials that it takes (without --credentials any)
-- table events: 'log.directory' left out: Flink reads the stream through the Kinesis API, and not from its files
-- table events: 'stream.create-shards' left out: make the stream before, with aws kinesis create-stream --stream-name events --shard-count 4
-- org.apache.flink:flink-sql-connector-aws-kinesis-streams:6.0.0-2.0
