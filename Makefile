# Every habit of this project is one target. Set-up is part of each: a machine needs Python >= 3.11, Node >= 20, git and make.
PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: up down status test soak check bench synth build deploy destroy openapi setup

up: setup ## deploy everything to this machine and keep it running until Ctrl-C
	@$(RUN) -m local up

down: setup ## end everything that `up --detach`, or a killed `up`, left running
	@$(RUN) -m local down

status: setup
	@$(RUN) -m local status

test: setup-tests build ## all tests; no account, no Docker
	@$(RUN) -m pytest

soak: setup-tests build ## the same, with the long scenarios at full length
	@SOAK=full $(RUN) -m pytest -m soak

check: setup build ## style, types, templates
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -m pytest tests/stacks tests/test_documents.py

bench: setup-bench build ## measure; results on screen and in bench/results
	@$(RUN) -m bench

synth: setup build
	@npx cdk synth --quiet

build: setup ## the dependencies of the Lambda assets, for Lambda's own Python and processor
	@$(RUN) -m stacks.assets

deploy: setup build ## to the AWS account of your credentials: all but PubSubStack, which costs by the hour and is deployed by name
	@npx cdk deploy $(or $(STACKS),$$(npx cdk ls | grep -v PubSubStack))

destroy: setup build
	@npx cdk destroy --all

openapi: setup ## write docs/openapi.json anew
	@$(RUN) -m services.http.openapi > docs/openapi.json

setup:
	@$(PYTHON) local/setup.py

setup-tests:
	@$(PYTHON) local/setup.py --tests

setup-bench:
	@$(PYTHON) local/setup.py --bench
