CREATE TABLE `lines` (
  `line` STRING
)
WITH (
  'connector' = 'filesystem',
  'format' = 'raw',
  'path' = '${DATA}/lines'
);
