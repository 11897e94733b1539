"""The least FastAPI function that answers a conditional GET from one item of DynamoDB: what `warm` compares ours with."""

import os
from typing import Annotated

import boto3
from fastapi import FastAPI, Header, Response
from mangum import Mangum

app = FastAPI()
client = boto3.client("dynamodb")


@app.get("/topics/{topic}")
def read(topic: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The same item, the same validator; no access rules, no other topics, no pages."""
    key = {"topic": {"S": topic}, "entry": {"S": "head"}}
    item = client.get_item(TableName=os.environ["LOG_TABLE"], Key=key, ConsistentRead=False)["Item"]
    etag = f'"{item["epoch"]["S"]}-{item["last"]["N"]}"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(item["events"]["L"][0]["M"]["data"]["S"], headers={"ETag": etag}, media_type="application/json")


handler = Mangum(app, lifespan="off")
