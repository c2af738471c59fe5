"""The embedded store by boto3, and by a plain client with what the relay permitted."""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

subject = json.load(sys.stdin)
url = subject["url"]
# The client counts the body itself.
headers = {name: value for name, value in subject["headers"].items() if name.lower() != "content-length"}
content = bytes([7]) * subject["length"]
parts = urllib.parse.urlsplit(url)
endpoint = f"{parts.scheme}://{parts.netloc}"
bucket, key = parts.path.lstrip("/").split("/", 1)


def ask(method, url, body=None, headers=None):
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def refused(what, status):
    assert 400 <= status < 500, f"{what}: {status}"


# One method, one key, one length, one type, one content, for a time.
refused("another type", ask("PUT", url, content, {**headers, "content-type": "text/html"}))
refused("another length", ask("PUT", url, content[:-1], headers))
refused("other bytes", ask("PUT", url, bytes([8]) * len(content), headers))
refused("another key", ask("PUT", url.replace(key, key + "x"), content, headers))
refused("a GET by permission to PUT", ask("GET", url))
refused("unsigned", ask("PUT", url.split("?")[0], content, headers))
refused("a later expiry", ask("PUT", url.replace("X-Amz-Expires=", "X-Amz-Expires=9"), content, headers))
status = ask("PUT", url, content, headers)
assert status == 200, f"what is permitted: {status}"

credentials = subject["credentials"]


def client(secret):
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name=parse("X-Amz-Credential").split("/")[2],
        aws_access_key_id=credentials["access_key"], aws_secret_access_key=secret,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def parse(name):
    return urllib.parse.parse_qs(parts.query)[name][0]


store = client(credentials["secret_key"])
head = store.head_object(Bucket=bucket, Key=key)
assert head["ContentLength"] == len(content) and head["ContentType"] == "video/mp4", head
assert store.get_object(Bucket=bucket, Key=key)["Body"].read() == content
middle = store.get_object(Bucket=bucket, Key=key, Range="bytes=10-19")
assert middle["Body"].read() == content[10:20] and middle["ContentRange"].endswith(f"/{len(content)}")
signed = store.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)
assert ask("GET", signed) == 200, "what boto3 signs"

for what, call in {
    "a forged secret": lambda: client("forged").get_object(Bucket=bucket, Key=key),
    "a key outside": lambda: store.get_object(Bucket=bucket, Key="../relay.db"),
    "nothing there": lambda: store.get_object(Bucket=bucket, Key=key + "-not"),
}.items():
    try:
        call()
    except ClientError as error:
        assert 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
    else:
        raise AssertionError(f"{what}: not refused")
