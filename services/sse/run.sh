#!/bin/sh
# What the Lambda Web Adapter starts: its layer's wrapper executes the function's handler, which is this file.
# The runtime's boto3 comes last: whatever the asset brings goes before it.
export PYTHONPATH="$LAMBDA_TASK_ROOT:$LAMBDA_RUNTIME_DIR${PYTHONPATH:+:$PYTHONPATH}"
cd "$LAMBDA_TASK_ROOT" || exit 1
exec python -m services.sse.bounded --port "$PORT"
