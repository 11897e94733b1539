"""The least that a function with DynamoDB can import: what `cold` compares the message handler with."""

import boto3

client = boto3.client("dynamodb")
