CREATE TABLE `changes` (
  `id` INT,
  `v` STRING,
  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
)
WITH (
  'connector' = 'filesystem',
  'format' = 'debezium-json',
  'path' = '${DATA}/changes'
);
