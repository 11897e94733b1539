"""Access logs of a load balancer, in a bucket of their own, for a stack that does not know its region.

CDK's `log_access_logs` wants the region at synth, to look up ELB's account there. The principal of log delivery is the
same in every region (Elastic Load Balancing user guide, "Enable access logs"). A log line holds the URL with its query:
a ticket in it is spent by then, or 30 s old; a log file comes every five minutes.
"""

from aws_cdk import Aws, CfnResource, Duration
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.parts.nag import accept

KEPT_DAYS = 30


class LoadBalancerLog(s3.Bucket):
    """The bucket; it stays when the stack goes, since a bucket that is not empty cannot be deleted, and empties itself."""

    def __init__(self, scope: Construct, id: str, balancer: elb.ApplicationLoadBalancer) -> None:
        super().__init__(
            scope,
            id,
            encryption=s3.BucketEncryption.S3_MANAGED,  # the only one that ELB can write with
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(KEPT_DAYS))],
        )
        accept(self, "S1", "it holds access logs: logs of who wrote the logs would need a bucket as well")
        self.add_to_resource_policy(self._delivery())
        balancer.set_attribute("access_logs.s3.enabled", "true")
        balancer.set_attribute("access_logs.s3.bucket", self.bucket_name)
        resource = balancer.node.default_child
        if self.policy and isinstance(resource, CfnResource):
            resource.node.add_dependency(self.policy)  # ELB tries to write when the attribute is set

    def _delivery(self) -> iam.PolicyStatement:
        owner = f"arn:{Aws.PARTITION}:elasticloadbalancing:{Aws.REGION}:{Aws.ACCOUNT_ID}:loadbalancer/*"
        return iam.PolicyStatement(
            principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
            actions=["s3:PutObject"],
            resources=[self.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*")],
            conditions={"ArnLike": {"aws:SourceArn": owner}},
        )
