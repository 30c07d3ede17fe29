-- A script for the cloud whose endpoint was left out: the stream is in the built-in log, where requests need no tuning.
-- runs
-- notice: table stored: option 'aws.region' means nothing here: the stream is in the built-in log, where nothing is requested
-- notice: table stored: option 'sink.batch.max-size' means nothing here: the stream is in the built-in log, where nothing is requested
-- notice: table stored: option 'source.reader.type' means nothing here: the stream is in the built-in log, where nothing is requested
CREATE TABLE stored (id INT, note STRING) WITH (
  'connector' = 'kinesis', 'stream' = 'notes', 'aws.region' = 'eu-west-1', 'source.init.position' = 'TRIM_HORIZON', 'source.reader.type' = 'POLLING',
  'sink.batch.max-size' = '100', 'format' = 'json', 'log.directory' = '${OUT}/log', 'stream.create-shards' = '1', 'scan.bounded.mode' = 'latest-offset'
);
CREATE TABLE copied (id INT, note STRING) WITH ('connector' = 'filesystem', 'path' = '${OUT}/copied', 'format' = 'json');
SET 'table.dml-sync' = 'true';
INSERT INTO stored VALUES (1, 'a'), (2, 'b');
INSERT INTO copied SELECT * FROM stored;
