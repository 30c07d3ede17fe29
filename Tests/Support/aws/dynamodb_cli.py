"""The AWS CLI with the commands of the streaming lake's walkthrough, word for word, with only an endpoint in the environment.

    dynamodb_cli.py ENDPOINT
"""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

AWS = os.path.join(os.path.dirname(sys.executable), "aws")
PUTS = r"""
    aws dynamodb put-item \
    --table-name blog-srsa-ddb-table \
    --item '{ "id": {"S": "864732"}, "name": {"S": "Adam"} , "Designation": {"S": "Architect"} }' \
    --return-consumed-capacity TOTAL
""", r"""
    aws dynamodb put-item \
    --table-name blog-srsa-ddb-table \
    --item '{ "id": {"S": "864732"}, "name": {"S": "Adam"} , "Designation": {"S": "Senior Architect"} }' \
    --return-consumed-capacity TOTAL
""", r"""
    aws dynamodb put-item \
    --table-name blog-srca-ddb-table \
    --item '{ "id": {"S": "864732"}, "name": {"S": "Chris"} , "Designation": {"S": "Senior Consultant"} }' \
    --return-consumed-capacity TOTAL
""", r"""
    aws dynamodb put-item \
    --table-name blog-srca-ddb-table \
    --item '{ "id": {"S": "864732"}, "name": {"S": "Chris"} , "Designation": {"S": "Principal Consultant"} }' \
    --return-consumed-capacity TOTAL
"""


def shell(command):
    environment = {**os.environ, "AWS_ENDPOINT_URL": sys.argv[1], "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                   "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "", "PATH": os.path.dirname(AWS) + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


def use_case(name, person, position, puts):
    shell(f"aws dynamodb create-table --table-name {name} --attribute-definitions AttributeName=id,AttributeType=S "
          "--key-schema AttributeName=id,KeyType=HASH --billing-mode PAY_PER_REQUEST "
          "--stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES")
    for command in puts:
        answer = shell(command)
        assert answer["ConsumedCapacity"]["CapacityUnits"] == 1.0, answer
    found = shell(f"""aws dynamodb get-item --table-name {name} --key '{{"id": {{"S": "864732"}}}}'""")["Item"]
    assert found == {"id": {"S": "864732"}, "name": {"S": person}, "Designation": {"S": position}}, found
    table = shell(f"aws dynamodb describe-table --table-name {name}")["Table"]
    assert (table["ItemCount"], table["StreamSpecification"]["StreamViewType"]) == (1, "NEW_AND_OLD_IMAGES"), table


with ThreadPoolExecutor(2) as pool:
    first = pool.submit(use_case, "blog-srsa-ddb-table", "Adam", "Senior Architect", PUTS[:2])
    second = pool.submit(use_case, "blog-srca-ddb-table", "Chris", "Principal Consultant", PUTS[2:])
    first.result()
    second.result()
print(json.dumps("ok"))
