"""Judges a quality split with DuckDB, from the input files alone: quality_judge.py DIRECTORY prints counts and percentages as JSON."""
import json
import sys

import duckdb

root = sys.argv[1]
base = duckdb.connect()
base.execute(f"CREATE TABLE patients AS SELECT * FROM read_csv('{root}/patients/*.csv', header=true, all_varchar=true)")
base.execute(f"CREATE TABLE encounters AS SELECT * FROM read_csv('{root}/encounters/*.csv', header=true, all_varchar=true)")
row = base.execute("""
    WITH judged AS (
        SELECT coalesce(regexp_matches(BIRTHDATE, '(?:(?:18|19|20)[0-9]{2})'), false) AS year_ok, coalesce(DRIVERS, '') = '' AS no_drivers,
               Id NOT IN (SELECT PATIENT FROM encounters) AS no_encounter
          FROM patients)
    SELECT count(*), count(*) FILTER (NOT year_ok OR no_drivers OR no_encounter), 100 * avg(CAST(NOT year_ok AS INT)), 100 * avg(CAST(no_drivers AS INT)),
           100 * avg(CAST(no_encounter AS INT)), 100 * avg(CAST(NOT year_ok OR no_drivers OR no_encounter AS INT))
      FROM judged""").fetchone()
good = [r[0] for r in base.execute("""
    SELECT Id FROM patients WHERE regexp_matches(BIRTHDATE, '(?:(?:18|19|20)[0-9]{2})') AND DRIVERS <> '' AND Id IN (SELECT PATIENT FROM encounters)
     ORDER BY Id""").fetchall()]
names = ["records", "bad_records", "birthdate_percent", "drivers_percent", "patient_percent", "bad_percent"]
print(json.dumps(dict(zip(names, row)) | {"good": good}))
