-- tags: join
CREATE TABLE users (uid INT, name STRING, country STRING, score INT) WITH ('connector'='filesystem','path'='${DATA}/users.json','format'='json');
CREATE TABLE pays (pid INT, uid INT, amt DECIMAL(10,2)) WITH ('connector'='filesystem','path'='${DATA}/pays.json','format'='json');
SELECT * FROM users u JOIN pays p ON u.uid = p.uid;
SELECT u.uid, p.uid, u.uid + 1, p.uid AS uid0, u.uid FROM users u, pays p WHERE u.uid = p.uid;
SELECT uid0, amt FROM (SELECT * FROM users u LEFT JOIN pays p ON u.uid = p.uid);
CREATE VIEW both_tables AS SELECT u.*, p.* FROM users u, pays p WHERE u.uid = p.uid;
SELECT uid0 + uid AS s, name FROM both_tables;
