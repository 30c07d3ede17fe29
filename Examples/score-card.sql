-- %% [markdown]
-- # A score card of data quality
--
-- A rule is a condition that a good record meets. A record that breaks one is not thrown away: it goes to a table of its own with what is
-- wrong with it, and the score card says how many there are. Good and bad records together are always all records.

-- %% Patients and their visits
-- Six hundred made-up patients. Some have a birth year that cannot be, some no driver's licence, some were never seen.
CREATE TEMPORARY TABLE patients (
    n BIGINT, year_draw INT, wrong_year INT, licence_draw INT, visit_draw INT,
    id AS 'patient-' || LPAD(CAST(n AS STRING), 3, '0'),
    birthdate AS CASE WHEN year_draw >= 7 THEN CAST(1920 + MOD(n * 37, 100) AS STRING)
                      WHEN wrong_year = 0 THEN '1609' WHEN wrong_year = 1 THEN '2101' WHEN wrong_year = 2 THEN '17O3' ELSE '' END
                 || CASE WHEN year_draw < 7 AND wrong_year = 3 THEN '' ELSE '-04-12' END,
    drivers AS CASE WHEN licence_draw < 20 THEN '' ELSE 'S9990' || CAST(1000 + n AS STRING) END
) WITH ('connector' = 'datagen', 'seed' = '28', 'rows-per-second' = '100000000', 'number-of-rows' = '600',
        'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '600',
        'fields.year_draw.min' = '0', 'fields.year_draw.max' = '99', 'fields.wrong_year.min' = '0', 'fields.wrong_year.max' = '3',
        'fields.licence_draw.min' = '0', 'fields.licence_draw.max' = '99', 'fields.visit_draw.min' = '0', 'fields.visit_draw.max' = '99');

-- A patient may have come several times.
CREATE TEMPORARY VIEW encounters AS
SELECT id AS patient, visit FROM patients CROSS JOIN UNNEST(ARRAY[1, 2, 3]) AS v (visit) WHERE visit_draw >= 4 AND visit <= 1 + MOD(n, 3);

SELECT id, birthdate, drivers FROM patients LIMIT 5;

-- %% Three rules
-- Consistency: the birth year is one of three centuries. Completeness: there is a licence. Integrity: the patient was seen at least once.
-- A comparison with NULL is neither true nor false; IS TRUE makes such a record a bad one.
CREATE TEMPORARY VIEW checked AS
SELECT *, CASE WHEN has_birth_year AND has_licence AND was_seen THEN 'Valid' ELSE 'Invalid' END AS dq_flag
  FROM (SELECT p.id, p.birthdate, p.drivers,
               REGEXP(p.birthdate, '^(18|19|20)[0-9]{2}-') IS TRUE AS has_birth_year,
               (p.drivers <> '') IS TRUE AS has_licence,
               e.patient IS NOT NULL AS was_seen
          FROM patients AS p LEFT JOIN (SELECT DISTINCT patient FROM encounters) AS e ON e.patient = p.id);

-- %% Good records, bad records and the score card tags=["insert"]
CREATE TABLE good_records (id STRING, birthdate STRING, drivers STRING, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'hudi', 'path' = '${data}/tables/good_records');
CREATE TABLE bad_records (id STRING, birthdate STRING, drivers STRING, broken STRING, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'hudi', 'path' = '${data}/tables/bad_records');
CREATE TABLE score_card (rule STRING, records BIGINT, broken BIGINT, broken_percent DOUBLE, PRIMARY KEY (rule) NOT ENFORCED)
  WITH ('connector' = 'hudi', 'path' = '${data}/tables/score_card');

INSERT INTO good_records SELECT id, birthdate, drivers FROM checked WHERE dq_flag = 'Valid';

INSERT INTO bad_records
SELECT id, birthdate, drivers,
       CONCAT_WS(', ', CASE WHEN NOT has_birth_year THEN 'birth year' END, CASE WHEN NOT has_licence THEN 'licence' END,
                 CASE WHEN NOT was_seen THEN 'never seen' END)
  FROM checked WHERE dq_flag = 'Invalid';

INSERT INTO score_card
SELECT rule, COUNT(*), COUNT(*) FILTER (WHERE is_broken), ROUND(100.0E0 * COUNT(*) FILTER (WHERE is_broken) / COUNT(*), 2)
  FROM (SELECT 'birth year' AS rule, NOT has_birth_year AS is_broken FROM checked
        UNION ALL SELECT 'licence', NOT has_licence FROM checked
        UNION ALL SELECT 'never seen', NOT was_seen FROM checked
        UNION ALL SELECT 'any', dq_flag = 'Invalid' FROM checked)
 GROUP BY rule;

-- %% The score card
-- @chart bar x=rule y=broken_percent title="Percent of the patients that break a rule"
-- A patient that breaks two rules counts for both, and once under "any".
SELECT rule, records, broken, broken_percent FROM score_card ORDER BY broken_percent DESC;

-- %% Good and bad are all
-- @chart pie x=kind y=records title="Patients"
SELECT 'good' AS kind, COUNT(*) AS records FROM good_records UNION ALL SELECT 'bad', COUNT(*) FROM bad_records;

-- %% What is wrong with them
SELECT id, birthdate, drivers, broken FROM bad_records ORDER BY id LIMIT 10;

-- %% [markdown]
-- The three INSERTs are one job: the patients are read once, and the three tables commit together.
-- `Topologies/quality.yaml` has the same rules as a step `quality`, without the SQL.
