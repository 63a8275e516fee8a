# mypy: disable-error-code="attr-defined,no-untyped-call"
# pyarrow has no types of its own, and its C++ part exports names that mypy cannot see.
"""A CSV of sales becomes Parquet: one row per day and product, with its turnover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BLOCK_BYTES = 4 * 1024 * 1024


def handler(event: dict[str, str], context: Any) -> dict[str, Any]:
    """event: {"csv": path, "parquet": path}, both absolute."""
    import pyarrow as pa  # here: an idle instance need not hold 60 MB of Arrow in memory
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source, target = Path(event["csv"]), Path(event["parquet"])
    sales = read_sales(source)
    print(f"{source.name}: {sales.num_rows:,} sales in {sales.nbytes:,} bytes of Arrow memory")
    turnover = pc.multiply(sales["quantity"].cast(pa.float64()), sales["unit_price_eur"])
    totals = (
        sales.append_column("turnover_eur", turnover)
        .group_by(["sold_on", "product"])
        .aggregate([("quantity", "sum"), ("turnover_eur", "sum"), ("shop", "count_distinct")])
        .sort_by([("sold_on", "ascending"), ("product", "ascending")])
        .rename_columns(["sold_on", "product", "quantity", "turnover_eur", "shops"])
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{context.aws_request_id}")
    pq.write_table(totals, unfinished, compression="zstd")
    unfinished.replace(target)
    total = round(pc.sum(totals["turnover_eur"]).as_py(), 2)
    print(f"{target.name}: {totals.num_rows:,} rows, {target.stat().st_size:,} bytes, turnover {total:,.2f} EUR")
    return {"rows": totals.num_rows, "turnover_eur": total, "parquet": str(target)}


def read_sales(source: Path) -> Any:
    """Raises ArrowInvalid, naming the row and the column, when the file is not what it should be."""
    import pyarrow as pa
    from pyarrow import csv

    types = {
        "sold_on": pa.date32(),
        "shop": pa.string(),
        "product": pa.string(),
        "quantity": pa.int32(),
        "unit_price_eur": pa.float64(),
    }
    return csv.read_csv(
        source,
        read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
        convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types)),
    )
