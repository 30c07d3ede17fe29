-- Changes of a database into Hudi, with what runs beside the writer on a cluster.
-- notice: table users: option 'hive_sync.enable' means nothing here: there is no metastore; swiftwater table ddl prints the table's definition for other engines
-- notice: table users: option 'hive_sync.metastore.uris' means nothing here: there is no metastore; swiftwater table ddl prints the table's definition for other engines
-- notice: table users: option 'hive_sync.mode' means nothing here: there is no metastore; swiftwater table ddl prints the table's definition for other engines
-- notice: table users: option 'compaction.async.enabled' means nothing here: there are no log files to merge
-- notice: table users: option 'compaction.delta_commits' means nothing here: there are no log files to merge
-- notice: table users: option 'compaction.tasks' means nothing here: there are no log files to merge
-- notice: table users: option 'index.bootstrap.enabled' means nothing here: keys are found by an index of this engine's own
-- notice: table users: option 'index.type' means nothing here: keys are found by an index of this engine's own
-- notice: table users: option 'metadata.enabled' means nothing here: files are found by the timeline, not by the metadata table
-- notice: table users: option 'write.bucket_assign.tasks' means nothing here: the parallelism of the job counts
-- notice: table users: option 'write.rate.limit' means nothing here: sources are read as fast as commits take rows
-- notice: table users: option 'write.tasks' means nothing here: the parallelism of the job counts
-- notice: table users: option 'hoodie.embed.timeline.server' means nothing here: there is no timeline server
SET 'execution.checkpointing.interval' = '1 min';
CREATE TABLE user_changes (
  id BIGINT, name STRING, city STRING, updated_at TIMESTAMP(3), PRIMARY KEY (id) NOT ENFORCED
) WITH (
  'connector' = 'kafka', 'topic' = 'db.public.users', 'properties.bootstrap.servers' = 'localhost:9092', 'properties.group.id' = 'hudi',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'debezium-json', 'debezium-json.schema-include' = 'false'
);
CREATE TABLE users (
  id BIGINT, name STRING, city STRING, updated_at TIMESTAMP(3), PRIMARY KEY (id) NOT ENFORCED
) PARTITIONED BY (city) WITH (
  'connector' = 'hudi', 'path' = 'file://${OUT}/users', 'table.type' = 'COPY_ON_WRITE',
  'write.operation' = 'upsert', 'precombine.field' = 'updated_at', 'write.tasks' = '4', 'write.bucket_assign.tasks' = '4', 'write.rate.limit' = '2000',
  'index.type' = 'FLINK_STATE', 'index.bootstrap.enabled' = 'true', 'metadata.enabled' = 'true', 'changelog.enabled' = 'false',
  'compaction.async.enabled' = 'true', 'compaction.delta_commits' = '5', 'compaction.tasks' = '2',
  'hive_sync.enable' = 'true', 'hive_sync.mode' = 'hms', 'hive_sync.metastore.uris' = 'thrift://metastore:9083',
  'hoodie.datasource.write.hive_style_partitioning' = 'true', 'hoodie.embed.timeline.server' = 'false',
  'payload.class' = 'org.apache.hudi.common.model.EventTimeAvroPayload', 'hoodie.datasource.query.type' = 'snapshot'
);
INSERT INTO users SELECT id, name, city, updated_at FROM user_changes;
