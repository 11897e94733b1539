"""The least that a FastAPI function with DynamoDB can import: what `cold` compares ours with."""

import boto3
from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()
client = boto3.client("dynamodb")
handler = Mangum(app, lifespan="off")
