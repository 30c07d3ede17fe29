-- tags: agg,window
CREATE TABLE trades (id INT, k STRING, p DECIMAL(10,2), q INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
WITH ('connector'='filesystem','path'='${DATA}/trades.json','format'='json');
SELECT window_start AS ws, k, VAR_SAMP(q) a, VAR_POP(q) b, STDDEV_SAMP(q) c, STDDEV_POP(p) d FROM TABLE(TUMBLE(TABLE trades, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;
SELECT k, VAR_SAMP(q) a, VAR_POP(q) b, STDDEV_SAMP(q) c, VAR_SAMP(p) d FROM trades GROUP BY k;
SELECT VAR_POP(c) a, STDDEV_SAMP(m) b FROM (SELECT k, COUNT(*) c, MAX(p) m FROM trades GROUP BY k);
