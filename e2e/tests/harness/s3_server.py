"""An S3 that pods reach, in a process of its own, since the tests' Python has none: moto's, which checks signatures and rights.

    s3_server.py ADDRESS BUCKET KEY FILE

It serves the file to one user, says in a line of JSON where it is and what keys the user has, and ends with its input.
"""

import json
import sys

import boto3
from moto import settings
from moto.server import ThreadedMotoServer

REGION = "eu-north-1"


def main(address, bucket, key, file):
    """Serves until the input ends."""
    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://{address}:{port}"
    owner = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "owner", "aws_secret_access_key": "owner"}
    s3, iam = boto3.client("s3", **owner), boto3.client("iam", **owner)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.upload_file(file, bucket, key)
    may_read = [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"},
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": may_read}))
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    # From the next request on keys, signatures and rights are checked.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    reader = {"id": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}
    print(json.dumps({"url": url, "port": port, "region": REGION, **reader}), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
