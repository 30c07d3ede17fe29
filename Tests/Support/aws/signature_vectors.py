"""Signs random requests with botocore and prints them, one JSON object with a list: the judge of our own signatures.

    signature_vectors.py SEED COUNT
"""
import base64
import datetime
import json
import random
import sys
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

rng = random.Random(int(sys.argv[1]))


def word(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", least=1, most=12):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(least, most)))


def one():
    anything = "abcXYZ019 -_.~/+=&?%*'()!$,;:@ä€\U0001F600"
    path = "/" + "/".join(rng.choice([".", "..", "", quote(word(anything), safe="-_.~"), word()]) for _ in range(rng.choice([0, 0, 1, 3])))
    if path.startswith("//"):
        path = "/"
    query = "&".join(
        quote(word(anything), safe="-_.~") + "=" + quote(word(anything, 0), safe="-_.~") for _ in range(rng.choice([0, 0, 1, 4])))
    body = rng.randbytes(rng.choice([0, 1, 100, 5000]))
    host = rng.choice(["127.0.0.1:4566", "localhost:8080", "kinesis.us-east-1.amazonaws.com"])
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202." + word(), "Host": host}
    for _ in range(rng.choice([0, 2, 4])):
        headers["X-" + word("abcdefXYZ-", 3)] = rng.choice([" ", "", "\t"]).join(word() + rng.choice(["", "  ", ",", "=\""]) for _ in range(3))
    if rng.random() < 0.3:
        headers["User-Agent"], headers["Connection"] = "x/1", "keep-alive"
    when = datetime.datetime.fromtimestamp(rng.randint(0, 4_000_000_000), datetime.timezone.utc)
    credentials = Credentials("AKID" + word("ABCDEFGH0123"), word(anything, 8, 40), rng.choice([None, word(most=40)]))
    service, region = rng.choice(["kinesis", "dynamodb", "firehose"]), rng.choice(["us-east-1", "eu-central-1"])
    url = f"http://{host}{path}" + ("?" + query if query else "")
    request = AWSRequest("POST", url, headers=headers, data=body)
    with mock.patch("botocore.auth.get_current_datetime", lambda *a, **k: when):
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    added = {name: request.headers[name] for name in ("X-Amz-Date", "X-Amz-Security-Token", "Authorization") if name in request.headers}
    return {
        "target": path + ("?" + query if query else ""), "headers": [[n, v] for n, v in headers.items()], "body": base64.b64encode(body).decode(),
        "accessKey": credentials.access_key, "secret": credentials.secret_key, "token": credentials.token, "service": service,
        "region": region, "seconds": int(when.timestamp()), "added": added,
    }


print(json.dumps([one() for _ in range(int(sys.argv[2]))]))
