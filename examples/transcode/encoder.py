"""Stands for an encoder: python encoder.py SECONDS. Works in small steps and says how far it is."""

from __future__ import annotations

import sys
import time

STEPS = 20


def main() -> None:
    seconds = float(sys.argv[1])
    for step in range(1, STEPS + 1):
        time.sleep(seconds / STEPS)
        print(f"frame {step * 72:5d}  {step * 100 // STEPS:3d} %", flush=True)


if __name__ == "__main__":
    main()
