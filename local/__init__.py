"""The whole thing on one machine: the real CDK CLI deploys the same templates to MiniStack; no account, no Docker."""
