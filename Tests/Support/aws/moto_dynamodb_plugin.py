"""A pytest plugin that points moto's own tests of DynamoDB at another endpoint.

    DYNAMODB_ENDPOINT=http://127.0.0.1:4566 TEST_SERVER_MODE=true PYTHONPATH=Tests/Support/aws python -m pytest -p moto_dynamodb_plugin tests/test_dynamodb

Requests to other services go to moto's server at TEST_SERVER_MODE_ENDPOINT. Between tests all tables are deleted.
"""
import os

import boto3
from botocore.config import Config
from moto.core import models

ENDPOINT = os.environ["DYNAMODB_ENDPOINT"]
os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
regions = {"us-east-1"}
real = {"client": boto3.client, "resource": boto3.resource}


def endpoint(service):
    return ENDPOINT if service in ("dynamodb", "dynamodbstreams") else os.environ.get("TEST_SERVER_MODE_ENDPOINT", "http://127.0.0.1:9")


def through(kind):
    def make(*args, **kwargs):
        service = kwargs.get("service_name") or args[0]
        region = kwargs.get("region_name") or (args[1] if len(args) > 1 else None) or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        regions.add(region)
        if len(args) < 2:
            kwargs["region_name"] = region
        kwargs.setdefault("endpoint_url", endpoint(service))
        kwargs["config"] = Config(retries={"max_attempts": 1}).merge(kwargs.get("config") or Config())
        return real[kind](*args, **kwargs)

    return make


def reset(self):
    for region in sorted(regions):
        client = real["client"]("dynamodb", region_name=region, endpoint_url=ENDPOINT)
        for page in client.get_paginator("list_tables").paginate():
            for name in page["TableNames"]:
                client.update_table(TableName=name, DeletionProtectionEnabled=False)
                client.delete_table(TableName=name)


def enable(self, reset=True):
    if self.__class__._nested_count == 1 and reset:
        self.reset()
    self._client_patcher = models.patch("boto3.client", through("client"))
    self._resource_patcher = models.patch("boto3.resource", through("resource"))
    self._client_patcher.start()
    self._resource_patcher.start()


models.ServerModeMockAWS.reset = reset
models.ServerModeMockAWS._enable_patching = enable
