"""Writes an access log with steady traffic and, in one minute, a burst: logs.py DIRECTORY 5xx|DELETE|none [MINUTES [SEED]]

Prints the minute of the burst as JSON. Lines have the fields of an S3 server access log that say something about traffic.
"""
import datetime
import json
import os
import random
import sys

directory, kind = sys.argv[1], sys.argv[2]
minutes, seed = int(sys.argv[3]) if len(sys.argv) > 3 else 180, int(sys.argv[4]) if len(sys.argv) > 4 else 22
chance = random.Random(seed)
os.makedirs(f"{directory}/logs", exist_ok=True)
start = datetime.datetime(2021, 3, 22, 10, 0)
burst = minutes * 5 // 6
with open(f"{directory}/logs/access.json", "w") as out:
    for minute in range(minutes):
        seconds = sorted(chance.uniform(0, 60) for _ in range(chance.randint(95, 125)))
        for i, second in enumerate(seconds):
            method = chance.choices(["GET", "HEAD", "POST", "PUT", "DELETE"], [80, 8, 8, 3, 1])[0]
            status = chance.choices([200, 206, 301, 304, 403, 404, 500, 503], [800, 40, 20, 90, 15, 30, 3, 2])[0]
            if minute == burst and i % 3 == 0:
                if kind == "5xx":
                    status = 503
                elif kind == "DELETE":
                    method = "DELETE"
            out.write(json.dumps({
                "bucket": "awsexamplebucket1", "ts": (start + datetime.timedelta(minutes=minute, seconds=second)).isoformat(sep=" ", timespec="milliseconds"),
                "remote_ip": f"192.0.2.{chance.randint(1, 250)}", "country_code": chance.choice([100, 100, 100, 101, 102, 105]),
                "request_uri": f"{method} /awsexamplebucket1?versioning HTTP/1.1", "http_status": status,
                "level": "ERROR" if status >= 500 else "WARN" if status >= 400 else "INFO", "bytes_sent": int(chance.lognormvariate(6, 1)),
            }) + "\n")
print(json.dumps({"burst": (start + datetime.timedelta(minutes=burst)).isoformat(sep=" "), "minutes": minutes}))
