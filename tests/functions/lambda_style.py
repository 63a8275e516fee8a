"""After the Python samples of AWS Lambda: the context has attributes."""

from __future__ import annotations

import logging
import random
from typing import Any

logger = logging.getLogger()
logger.setLevel("INFO")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger.info("processing %s", context.aws_request_id)
    assert 0 < context.get_remaining_time_in_millis() <= 20_000
    assert context.client_context is None
    assert context.identity.cognito_identity_id is None
    return {
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "random": random.random(),
    }
