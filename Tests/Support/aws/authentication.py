"""Asks an endpoint that wants signatures for streams, with boto3: right, and wrong in several ways. Prints what came of each as JSON.

    authentication.py ENDPOINT ACCESS_KEY SECRET
"""
import datetime
import json
import sys
from unittest import mock

import boto3
import botocore.auth
import botocore.exceptions
from botocore import UNSIGNED
from botocore.config import Config

endpoint, key, secret = sys.argv[1:]
once = {"retries": {"total_max_attempts": 1}}


def ask(key=key, secret=secret, token=None, region="us-east-1", minutes=0, **config):
    client = boto3.client("kinesis", endpoint_url=endpoint, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                          aws_session_token=token, config=Config(**once, **config))
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    try:
        with mock.patch("botocore.auth.get_current_datetime", lambda *a, **k: when):
            return client.list_streams()["StreamNames"]
    except botocore.exceptions.ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"], error.response["ResponseMetadata"]["HTTPStatusCode"]]


print(json.dumps({
    "right": ask(), "other region": ask(region="eu-central-1"), "unknown region": ask(region="us-west-2"), "wrong secret": ask(secret="wrong"),
    "unknown key": ask(key="OTHER"), "unsigned": ask(signature_version=UNSIGNED), "old": ask(minutes=-6), "new": ask(minutes=6),
    "nearly old": ask(minutes=-4), "with a token": ask(token="token"),
}))
