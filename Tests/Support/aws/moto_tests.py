"""moto's own tests, against an endpoint: moto_tests.py ENDPOINT DIRECTORY [pytest argument ...]

Fetches moto's source distribution into .venv/moto-tests once (`moto_tests.py fetch` does only that) and runs the tests of one directory,
such as test_kinesis, with every client sent to the endpoint. Prints the outcome of each test as JSON.
"""
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

VERSION = "5.2.5"
root = pathlib.Path(__file__).resolve().parents[3]
sources = root / ".venv" / "moto-tests" / f"moto-{VERSION}"


def fetch():
    if (sources / "tests").is_dir():
        return
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", directory,
                        f"moto=={VERSION}"], check=True, stdout=sys.stderr)
        archive = next(pathlib.Path(directory).glob("moto-*.tar.gz"))
        building = sources.parent / f".unpacking-{os.getpid()}"
        with tarfile.open(archive) as packed:
            packed.extractall(building, filter="data")
        try:
            (building / f"moto-{VERSION}").rename(sources)
        except OSError:
            # Another run was faster.
            if not (sources / "tests").is_dir():
                raise


class Outcomes:
    """Collects outcomes, empties the endpoint before each test, and answers who the caller is, which is STS's to say."""

    def __init__(self):
        self.tests = {}
        # That requests were sent to.
        self.regions = {"us-east-1"}

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.split("/")[-1]
            reason = "" if report.outcome == "passed" else str(report.longrepr)[-600:]
            if self.tests.get(name, ("passed",))[0] == "passed":
                self.tests[name] = (report.outcome, reason)

    def pytest_runtest_setup(self, item):
        import boto3

        if "test_dynamodb" in item.nodeid:
            # Tests of one class share its tables, but for those of the streams, which make them in each test.
            return self.delete_tables(boto3) if item.cls is None or "test_dynamodbstreams" in item.nodeid else None
        client = boto3.client("kinesis", endpoint_url=os.environ["TEST_SERVER_MODE_ENDPOINT"], region_name="us-east-1")
        while names := client.list_streams(Limit=100)["StreamNames"]:
            for name in names:
                client.delete_stream(StreamName=name, EnforceConsumerDeletion=True)

    def delete_tables(self, boto3):
        for region in sorted(self.regions):
            client = boto3.client("dynamodb", endpoint_url=os.environ["TEST_SERVER_MODE_ENDPOINT"], region_name=region)
            for page in client.get_paginator("list_tables").paginate():
                for name in page["TableNames"]:
                    if client.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"]:
                        client.update_table(TableName=name, DeletionProtectionEnabled=False)
                    client.delete_table(TableName=name)

    def pytest_configure(self, config):
        from botocore.client import BaseClient

        call = BaseClient._make_api_call

        def made(client, operation, arguments):
            self.regions.add(client.meta.region_name)
            if client.meta.service_model.service_name == "sts" and operation == "GetCallerIdentity":
                return {"Account": "123456789012"}
            return call(client, operation, arguments)

        BaseClient._make_api_call = made


if __name__ == "__main__":
    fetch()
    if sys.argv[1] == "fetch":
        sys.exit(0)
    endpoint, directory = sys.argv[1:3]
    os.environ.update({
        "TEST_SERVER_MODE": "true", "TEST_SERVER_MODE_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
    })
    # MOTO_CALL_RESET_API=true is for moto's own server.
    os.environ.setdefault("MOTO_CALL_RESET_API", "false")
    os.chdir(sources)
    import pytest

    outcomes = Outcomes()
    # Only the tests come from the sources: moto itself is the installed one.
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    pytest.main(["-q", "-p", "no:cacheprovider", "--tb=short", "--import-mode=importlib", f"tests/{directory}"] + sys.argv[3:], plugins=[outcomes])
    os.dup2(saved, 1)
    print(json.dumps(outcomes.tests))
