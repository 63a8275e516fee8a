"""Writes the sample data: python examples/etl/make_sales.py FILE [ROWS]. The same rows every time."""

from __future__ import annotations

import csv
import random
import sys
from datetime import date, timedelta
from pathlib import Path

PRODUCTS = {"espresso": 2.40, "flat white": 3.60, "filter": 2.90, "croissant": 2.20, "banana bread": 3.40}
SHOPS = ("Lyon", "Nantes", "Lille", "Nice")


def make_sales(path: Path, rows: int) -> None:
    chance = random.Random(20261124)  # sample data
    first = date(2026, 9, 1)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("sold_on", "shop", "product", "quantity", "unit_price_eur"))
        for _ in range(rows):
            product = chance.choice(tuple(PRODUCTS))
            day = first + timedelta(days=chance.randrange(61))
            discount = chance.choice((1.0, 1.0, 1.0, 0.9))
            price = f"{PRODUCTS[product] * discount:.2f}"
            out.writerow((day, chance.choice(SHOPS), product, chance.choice((1, 1, 1, 2, 2, 3)), price))


if __name__ == "__main__":
    make_sales(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2_000)
