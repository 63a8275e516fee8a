"""The environment that a function sees. Nothing of the executor's own comes in but what is named here."""

from __future__ import annotations

import os
from collections.abc import Mapping

from processor.executor.abstract import FunctionCode

#: Taken over from the executor: where programs and certificates are, language, graphics processors.
INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)
#: What a function without a memory limit is told; libraries divide by it.
UNLIMITED_MB = 1_048_576


def environment(code: FunctionCode, folder: str, parent: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Defaults, then the function's own variables, then the names that no function may change."""
    code_dir = str(code.code_dir)
    own = {name: parent[name] for name in INHERITED if name in parent}
    defaults = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": ":UTC", "SCF_NAMESPACE": "default"}
    reserved = {
        "_HANDLER": code.handler,
        "AWS_LAMBDA_FUNCTION_NAME": code.name,
        "AWS_LAMBDA_FUNCTION_VERSION": code.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb(code)),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/headrace/{code.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": code.version,
        "LAMBDA_TASK_ROOT": code_dir,
        "TENCENTCLOUD_RUNENV": "SCF",
        "USER_CODE_ROOT": f"{code_dir}/",
        "PYTHONPATH": _path(code_dir, code.env.get("PYTHONPATH")),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": folder,
        "HOME": folder,
    }
    return {**defaults, **own, **code.env, **reserved}


def memory_mb(code: FunctionCode) -> int:
    return UNLIMITED_MB if code.memory_bytes is None else code.memory_bytes // (1024 * 1024)


def _path(code_dir: str, more: str | None) -> str:
    return f"{code_dir}{os.pathsep}{more}" if more else code_dir
