-- tags: type
CREATE TABLE nested (id INT, k STRING, xs ARRAY<INT>, m MAP<STRING, INT>, rs ARRAY<ROW<n INT, s STRING>>, r ROW<c STRING, g ROW<lat DOUBLE>>)
WITH ('connector'='filesystem','path'='${DATA}/nested.json','format'='json');
SELECT r.* FROM nested;
SELECT id, r.g.*, nested.r.* FROM nested;
SELECT n.id, n.r.*, t.* FROM nested n LEFT JOIN UNNEST(rs) AS t ON TRUE WHERE n.id <> 2;
SELECT c, COUNT(*) AS n FROM (SELECT r.* FROM nested) GROUP BY c;
