-- tags: function
CREATE TABLE users (uid INT, name STRING, country STRING, score INT) WITH ('connector'='filesystem','path'='${DATA}/users.json','format'='json');
CREATE TABLE pays (pid INT, uid INT, amt DECIMAL(10,2)) WITH ('connector'='filesystem','path'='${DATA}/pays.json','format'='json');
SELECT JSON_OBJECTAGG(KEY name VALUE JSON_OBJECT('z' VALUE uid, 'a' VALUE country)) o FROM users WHERE name IS NOT NULL;
SELECT JSON_ARRAYAGG(JSON_ARRAY(uid, country)) a, JSON_ARRAYAGG(JSON_OBJECT('n' VALUE name)) b, JSON_ARRAYAGG(country NULL ON NULL) c FROM users;
SELECT country, JSON_OBJECTAGG(KEY name VALUE score) o FROM users WHERE name IS NOT NULL GROUP BY country;
