"""Writes synthetic patients and encounters as CSV files, and prints what is wrong with them, counted as they were made.

patients.py DIRECTORY [PATIENTS [SEED]]

Patients have a birth year that no rule accepts, no driver's licence, or no encounter, independently of each other; most have several
encounters. The columns are those of the Synthea files that the data quality post reads.
"""
import csv
import json
import os
import random
import sys
import uuid

directory, count, seed = sys.argv[1], int((sys.argv + [0, 0])[2] or 1000), int((sys.argv + [0, 0, 0])[3] or 28)
chance = random.Random(seed)
os.makedirs(f"{directory}/patients", exist_ok=True)
os.makedirs(f"{directory}/encounters", exist_ok=True)
patients = """Id BIRTHDATE DEATHDATE SSN DRIVERS PASSPORT PREFIX FIRST LAST SUFFIX MAIDEN MARITAL RACE ETHNICITY GENDER BIRTHPLACE ADDRESS CITY
    STATE COUNTY ZIP LAT LON HEALTHCARE_EXPENSES HEALTHCARE_COVERAGE""".split()
counts = {"records": count, "birthdate": 0, "drivers": 0, "patient": 0, "bad": 0}
encounters = []
with open(f"{directory}/patients/patients.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(patients)
    for i in range(count):
        name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        bad_year, no_drivers, no_encounter = chance.random() < 0.07, chance.random() < 0.2, chance.random() < 0.04
        year = chance.choice(["1609", "2101", "0070", "199", "", "17O3"]) if bad_year else str(chance.randint(1900, 2020))
        birth = f"{year}-{chance.randint(1, 12):02}-{chance.randint(1, 9):02}" if year else ""
        drivers = "" if no_drivers else f"S9990{chance.randint(0, 9999):04}"
        for key, wrong in [("birthdate", bad_year), ("drivers", no_drivers), ("patient", no_encounter), ("bad", bad_year or no_drivers or no_encounter)]:
            counts[key] += wrong
        gender = chance.choice("MF")
        out.writerow([name, birth, "", f"999-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}", drivers, "", "Mr." if gender == "M" else "Ms.",
                      f"First{i}", f"Last, {i}" if i % 50 == 0 else f"Last{i}", "", "", chance.choice(["M", "S", ""]), "white", "nonhispanic", gender, "Boston", f"{i} Main Street", "Boston",
                      "Massachusetts", "Suffolk County", f"{chance.randint(1000, 2800)}", f"{chance.uniform(42, 43):.6f}", f"{chance.uniform(-72, -71):.6f}",
                      f"{chance.uniform(1e3, 1e6):.2f}", f"{chance.uniform(1e2, 1e4):.2f}"])
        if not no_encounter:
            encounters += [(str(uuid.UUID(int=chance.getrandbits(128), version=4)), name) for _ in range(chance.randint(1, 6))]
chance.shuffle(encounters)
with open(f"{directory}/encounters/encounters.csv", "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["Id", "START", "STOP", "PATIENT"])
    for i, (name, patient) in enumerate(encounters):
        out.writerow([name, f"2020-01-{i % 28 + 1:02}T10:00:00Z", f"2020-01-{i % 28 + 1:02}T11:00:00Z", patient])
counts["encounters"] = len(encounters)
print(json.dumps(counts))
