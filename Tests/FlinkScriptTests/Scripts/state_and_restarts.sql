-- What a cluster's administrator asks scripts to set, in names of 1.12 to 1.19.
-- notice: setting 'state.checkpoints.dir' = 'hdfs://nameservice1/flink/checkpoints' means nothing here: there is no file system for hdfs://; checkpoints and savepoints are kept on this machine, in the data directory
-- notice: setting 'state.savepoints.dir' = 's3://bucket/savepoints' means nothing here: there is no file system for s3://; checkpoints and savepoints are kept on this machine, in the data directory
-- notice: setting 'state.backend.local-recovery' means nothing here: checkpoints are written in a way of their own
-- notice: setting 'state.backend.rocksdb.predefined-options' means nothing here: the embedded store chooses it by itself
-- notice: setting 'state.checkpoint-storage' means nothing here: checkpoints are written in a way of their own
-- notice: setting 'execution.savepoint-restore-mode' means nothing here: what a job starts from is left as it is
-- notice: setting 'metrics.reporter.prom.factory.class' means nothing here: metrics are served under Flink's names by swiftwater serve
-- notice: setting 'env.java.opts' means nothing here: there is no JVM
-- notice: setting 'yarn.application.name' means nothing here: one process runs the job: there is no cluster
-- notice: setting 'kubernetes.cluster-id' means nothing here: one process runs the job: there is no cluster
-- notice: setting 'pipeline.jars' means nothing here: there are no JAR files
-- notice: setting 'pipeline.auto-watermark-interval' means nothing here: watermarks follow each row
-- notice: setting 'table.exec.async-lookup.buffer-capacity' means nothing here: calls are made in the order of the rows
-- notice: setting 'fs.s3a.access.key' means nothing here: a table's own options say how its files are reached
-- notice: setting 'python.fn-execution.bundle.size' means nothing here: Python functions run in worker processes of this engine
-- notice: ADD JAR '/opt/flink/usrlib/udfs.jar' means nothing here: there is no JVM to load it; connectors and formats are built in
SET 'state.backend' = 'rocksdb';
SET 'state.checkpoints.dir' = 'hdfs://nameservice1/flink/checkpoints';
SET 'state.savepoints.dir' = 's3://bucket/savepoints';
SET 'state.checkpoints.num-retained' = '3';
SET 'state.backend.local-recovery' = 'true';
SET 'state.backend.rocksdb.predefined-options' = 'SPINNING_DISK_OPTIMIZED_HIGH_MEM';
SET 'state.checkpoint-storage' = 'filesystem';
SET 'execution.savepoint-restore-mode' = 'CLAIM';
SET 'execution.checkpointing.interval' = '3min';
SET 'execution.checkpointing.unaligned' = 'true';
SET 'execution.checkpointing.alignment-timeout' = '10 s';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
SET 'restart-strategy' = 'fixed-delay';
SET 'restart-strategy.fixed-delay.attempts' = '3';
SET 'restart-strategy.fixed-delay.delay' = '10 s';
SET 'metrics.reporter.prom.factory.class' = 'org.apache.flink.metrics.prometheus.PrometheusReporterFactory';
SET 'env.java.opts' = '-XX:+UseG1GC';
SET 'yarn.application.name' = 'orders';
SET 'kubernetes.cluster-id' = 'orders';
SET 'pipeline.jars' = 'file:///opt/udfs.jar';
SET 'pipeline.auto-watermark-interval' = '200 ms';
SET 'table.exec.async-lookup.buffer-capacity' = '100';
SET 'table.exec.state.ttl' = '1 d';
SET 'fs.s3a.access.key' = 'minio';
SET 'python.fn-execution.bundle.size' = '1000';
ADD JAR '/opt/flink/usrlib/udfs.jar';
SHOW JARS;
ADD JAR '/opt/flink/usrlib/udfs.jar';
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '10');
CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO nowhere SELECT n FROM numbers;
