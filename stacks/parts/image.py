"""The container's image: what a Lambda's zip would hold, and a Dockerfile that does no more than copy it."""

import os
import shutil
import tempfile

from aws_cdk import aws_ecr_assets as assets
from constructs import Construct

from stacks.assets import ROOT, Target, stage
from stacks.config import Config

DOCKER_FILES = ("Dockerfile", ".dockerignore")

_PLATFORMS = {"arm64": assets.Platform.LINUX_ARM64, "x86_64": assets.Platform.LINUX_AMD64}
_PYTHON = "3.14"  # the Dockerfile names the patch release


class Image(assets.DockerImageAsset):
    """`app/` is the staged asset, features.json included. Synth hashes it; `cdk deploy` builds and pushes it.

    Dependencies are those of uv.lock in the same form as the Lambdas', so nothing is installed, or resolved, by Docker.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config, asset: str, folder: str) -> None:
        target = Target(config.python, config.architecture, config.wheels)
        app, _ = stage(target, asset, config.features)
        with tempfile.TemporaryDirectory(dir=target.folder, prefix=f".{asset}-image-") as context:  # CDK copies it at once
            shutil.copytree(app, f"{context}/app", copy_function=os.link)
            for name in DOCKER_FILES:
                shutil.copy(ROOT / folder / name, context)
            super().__init__(
                scope,
                id,
                directory=context,
                platform=_PLATFORMS[config.architecture],
                build_args=None if config.python == _PYTHON else {"PYTHON": config.python},
            )
