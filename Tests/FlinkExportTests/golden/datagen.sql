CREATE TABLE `made` (
  `id` INT,
  `v` STRING
)
WITH (
  'connector' = 'datagen',
  'fields.id.end' = '10',
  'fields.id.kind' = 'sequence',
  'fields.id.start' = '1',
  'fields.v.length' = '4',
  'fields.v.null-rate' = '0.5',
  'number-of-rows' = '10',
  'rows-per-second' = '5'
);
-- table made: 'seed' left out: Flink's made-up rows are other ones each time
