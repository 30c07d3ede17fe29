-- Tables without connectors: the catalog says where they are.
-- runs
-- notice: setting 'sql-client.execution.max-table-result.rows' means nothing here: it is of Flink's SQL client
-- notice: table trips: option 'write.tasks' means nothing here: the parallelism of the job counts
SET 'sql-client.execution.max-table-result.rows' = '100';
SET 'table.dml-sync' = 'true';
CREATE CATALOG hudi_catalog WITH ('type' = 'hudi', 'catalog.path' = 'file://${OUT}/hudi', 'mode' = 'dfs', 'default-database' = 'default');
USE CATALOG hudi_catalog;
CREATE DATABASE IF NOT EXISTS rides;
USE rides;
CREATE TABLE trips (
  id STRING PRIMARY KEY NOT ENFORCED, driver STRING, fare DOUBLE, ts BIGINT
) WITH ('table.type' = 'COPY_ON_WRITE', 'precombine.field' = 'ts', 'write.tasks' = '1');
INSERT INTO trips VALUES ('t1', 'ana', 10.0, 1), ('t2', 'ben', 7.5, 1);
INSERT INTO trips VALUES ('t1', 'ana', 12.0, 2);
SELECT id, driver, fare FROM hudi_catalog.rides.trips;
