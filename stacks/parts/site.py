"""A private bucket with the demo page's files in it: `cdk deploy` copies them, and CloudFront alone reads them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from stacks.parts.nag import accept
from stacks.parts.page import put_into

_PROVIDER = "Custom::CDKBucketDeployment"
_LAMBDA_POLICY = "service-role/AWSLambdaBasicExecutionRole"
_WILDCARDS = ("GetBucket*", "GetObject*", "List*", "Abort*", "DeleteObject*")


class Site(s3.Bucket):
    """`facts`: the content of client.json, which may hold what is known at deploy only."""

    def __init__(self, scope: Construct, id: str, *, facts: Mapping[str, object]) -> None:
        super().__init__(
            scope,
            id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=RemovalPolicy.DESTROY,
        )
        accept(self, "S1", "CloudFront alone reads it, and what it holds is public; a log would cost more than the bucket")
        log_group = logs.LogGroup(self, "DeploymentLogs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
        with tempfile.TemporaryDirectory(prefix="page-") as folder:  # CDK copies it at once
            put_into(Path(folder))
            deployment.BucketDeployment(
                self,
                "Deployment",
                destination_bucket=self,
                sources=[deployment.Source.asset(folder), deployment.Source.json_data("client.json", facts)],
                cache_control=[deployment.CacheControl.no_cache()],  # names without hashes: a browser asks whether they are new
                retain_on_delete=False,  # so that the bucket is empty, and goes, when the stack goes
                memory_limit=256,
                log_group=log_group,
            )
        self._accept_provider()

    def _accept_provider(self) -> None:
        """CDK's own function, which is the stack's."""
        (found,) = [child for child in self.stack.node.children if child.node.id.startswith(_PROVIDER)]
        provider = cast("Construct", found)
        accept(provider, f"IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_LAMBDA_POLICY}]", "Lambda's own, to write logs")
        accept(provider, "L1", "its Python is the one that CDK tests it with")
        bucket = Stack.of(self).get_logical_id(cast("cdk.CfnElement", self.node.default_child))
        assets = f"arn:<AWS::Partition>:s3:::cdk-{cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER}-assets-<AWS::AccountId>-<AWS::Region>"
        resources = [f"Resource::{assets}/*", f"Resource::<{bucket}.Arn>/*"]
        for wildcard in [*(f"Action::s3:{action}" for action in _WILDCARDS), *resources]:
            accept(provider, f"IAM5[{wildcard}]", "it reads CDK's assets, and writes the files of this one bucket")
