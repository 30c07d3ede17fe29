-- Own catalog and database, functions of a JAR that this script does not call, partitions.
-- runs
-- notice: USE MODULES core means nothing here: all built-in functions are there, and none of other modules
-- notice: function score is written in Java (com.example.udf.Score): a statement that calls it is refused
-- notice: setting 'table.exec.uid.generation' means nothing here: operators are named by what they do
SHOW CURRENT CATALOG;
CREATE CATALOG lake WITH ('type' = 'generic_in_memory', 'default-database' = 'stage');
USE CATALOG lake;
CREATE DATABASE IF NOT EXISTS marts COMMENT 'what others read';
USE MODULES core;
SHOW MODULES;
CREATE FUNCTION IF NOT EXISTS score AS 'com.example.udf.Score' LANGUAGE JAVA;
SET 'table.exec.uid.generation' = 'PLAN_ONLY';

CREATE TABLE stage.numbers (id BIGINT, part INT) WITH (
  'connector' = 'datagen',
  'number-of-rows' = '6',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '6',
  'fields.part.kind' = 'sequence', 'fields.part.start' = '11', 'fields.part.end' = '16'
);

CREATE TABLE marts.squares (id BIGINT, square BIGINT, part STRING) PARTITIONED BY (part) WITH (
  'connector' = 'filesystem', 'path' = '${OUT}/squares', 'format' = 'json',
  'sink.partition-commit.policy.kind' = 'success-file', 'sink.partition-commit.delay' = '0 s'
);

CREATE TEMPORARY VIEW even AS SELECT id, id * id AS square FROM lake.stage.numbers WHERE MOD(id, 2) = 0;
USE marts;
EXECUTE STATEMENT SET
BEGIN
INSERT INTO squares SELECT id, square, 'even' FROM lake.stage.even;
END;
SHOW TABLES;
RESET 'table.exec.uid.generation';
