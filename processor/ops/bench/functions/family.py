"""What the benchmark of cancelling runs."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

#: Deaf to everything but SIGKILL, in a session of its own, with a child that has lost its parent.
_SCRIPT = "trap '' TERM HUP INT; (setsid sleep 1000 >&- & echo $!); echo $$; exec >&-; sleep 1000"


def family(event: Any, context: Any) -> None:
    """Starts processes that want to stay, notes the RequestId and all pids in the file FAMILIES, and goes on."""
    deaf = subprocess.Popen(["setsid", "sh", "-c", _SCRIPT], stdout=subprocess.PIPE, text=True)
    assert deaf.stdout is not None
    pids = [os.getpid(), *(int(line) for line in deaf.stdout)]
    descriptor = os.open(os.environ["FAMILIES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{context['request_id']} {' '.join(map(str, pids))}\n".encode())
    os.close(descriptor)
    time.sleep(1000)
