-- The older Kinesis connector, and the one of Flink 1.20 and later.
-- notice: table clicks: option 'scan.shard.adaptivereads' means nothing here: readers ask as often as there are records
-- notice: table clicks: option 'scan.list.shards.backoff.base' means nothing here: shards are listed again until they come
-- notice: table clicks_again: option 'scan.parallelism' means nothing here: shards are read with the parallelism of the job
-- notice: table clicks_out: option 'sink.producer.record-max-buffered-time' means nothing here: records are sent without the Kinesis Producer Library
CREATE TABLE clicks (
  user_id STRING, url STRING, ts TIMESTAMP(3),
  arrival TIMESTAMP(3) METADATA FROM 'timestamp' VIRTUAL, shard STRING NOT NULL METADATA FROM 'shard-id' VIRTUAL
) WITH (
  'connector' = 'kinesis-legacy', 'stream' = 'clicks', 'aws.region' = 'eu-west-1', 'aws.endpoint' = 'http://localhost:4566',
  'aws.credentials.provider' = 'BASIC', 'aws.credentials.basic.accesskeyid' = 'test', 'aws.credentials.basic.secretkey' = 'test',
  'scan.stream.initpos' = 'TRIM_HORIZON', 'scan.shard.getrecords.maxrecordcount' = '1000', 'scan.shard.adaptivereads' = 'true',
  'scan.list.shards.backoff.base' = '1000', 'format' = 'json'
);
CREATE TABLE clicks_again (user_id STRING, url STRING, ts TIMESTAMP(3)) WITH (
  'connector' = 'kinesis', 'stream.arn' = 'arn:aws:kinesis:eu-west-1:012345678901:stream/clicks', 'aws.region' = 'eu-west-1',
  'source.init.position' = 'AT_TIMESTAMP', 'source.init.timestamp' = '2024-05-01T00:00:00.000-00:00',
  'source.reader.type' = 'EFO', 'source.efo.consumer.name' = 'swift', 'source.efo.lifecycle' = 'JOB_MANAGED', 'scan.parallelism' = '4', 'format' = 'json'
);
CREATE TABLE clicks_out (user_id STRING, n BIGINT) WITH (
  'connector' = 'kinesis', 'stream.arn' = 'arn:aws:kinesis:eu-west-1:012345678901:stream/out', 'aws.region' = 'eu-west-1', 'format' = 'json',
  'sink.batch.max-size' = '200', 'sink.requests.max-inflight' = '4', 'sink.fail-on-error' = 'true', 'sink.producer.record-max-buffered-time' = '1000',
  'sink.partitioner' = 'random'
);
INSERT INTO clicks_out
SELECT user_id, CAST(1 AS BIGINT) FROM clicks UNION ALL SELECT user_id, CAST(2 AS BIGINT) FROM clicks_again;
