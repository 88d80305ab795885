"""What the analyst does with released rows: order, limit, HAVING, a ratio, the least of a group.

All of it needs released rows alone. A step gets what its query released and gives the rows of TPC-H's answer,
in its order and with its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import pandas as pd

Row: TypeAlias = tuple[Any, ...]
Released: TypeAlias = Mapping[str, pd.DataFrame]


def answers(released: Released, *, scale: float) -> dict[str, list[Row]]:
    """TPC-H's answer to each query that runs."""
    found = {name: _rows(step(released[name])) for name, step in _STEPS.items()}
    found["q11"] = _rows(_important_stock(released["q11"], Decimal("0.0001") / Decimal(str(scale))))
    found["q13"] = _rows(_orders_per_customer(released["q13"], released["q13_customers"]))
    return found


def _rows(frame: pd.DataFrame) -> list[Row]:
    return list(frame.itertuples(index=False, name=None))


def _sorted(*keys: str, limit: int | None = None) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Order by `keys`, one that begins with - the other way round."""

    def step(frame: pd.DataFrame) -> pd.DataFrame:
        names = [key.lstrip("-") for key in keys]
        ascending = [not key.startswith("-") for key in keys]
        return frame.sort_values(names, ascending=ascending).head(limit or len(frame))

    return step


def _number_in(names: pd.Series[str]) -> pd.Series[int]:
    """`Customer#000000017` is customer 17."""
    return names.str.split("#").str[1].astype(int)


def _cheapest_offers(frame: pd.DataFrame) -> pd.DataFrame:
    least = frame.groupby("p_number")["ps_supplycost"].transform("min")
    ordered = _sorted("-s_acctbal", "n_name", "s_name", "p_number", limit=100)(
        frame[frame["ps_supplycost"] == least]
    )
    return ordered.drop(columns="ps_supplycost")


def _market_share(frame: pd.DataFrame) -> pd.DataFrame:
    share = pd.DataFrame({"o_year": frame["o_year"], "mkt_share": _share(frame["brazil"], frame["volume"])})
    return _sorted("o_year")(share)


def _returned_items(frame: pd.DataFrame) -> pd.DataFrame:
    ordered = _sorted("-revenue", limit=20)(frame)
    ordered.insert(0, "c_custkey", _number_in(ordered["c_name"]))
    return ordered


def _important_stock(frame: pd.DataFrame, fraction: Decimal) -> pd.DataFrame:
    least = sum(frame["value"], start=Decimal(0)) * fraction
    return _sorted("-value", "ps_partkey")(frame[frame["value"] > least])


def _orders_per_customer(frame: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Customers without orders are in no row: all customers, less those with some."""
    without = int(customers["customers"].iloc[0]) - int(frame["custdist"].sum())
    row = pd.DataFrame({"c_count": [0], "custdist": [without]})
    return _sorted("-custdist", "-c_count")(pd.concat([frame, row]))


def _promotion(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"promo_revenue": [100 * share for share in _share(frame["promo"], frame["revenue"])]}
    )


def _share(parts: pd.Series[Any], wholes: pd.Series[Any]) -> list[float]:
    """A part is missing where nobody is behind it, not even one."""
    return [0.0 if pd.isna(part) else float(part / whole) for part, whole in zip(parts, wholes, strict=True)]


def _top_supplier(frame: pd.DataFrame) -> pd.DataFrame:
    top = frame[frame["total_revenue"] == frame["total_revenue"].max()].copy()
    top.insert(0, "s_suppkey", _number_in(top["s_name"]))
    return _sorted("s_suppkey")(top)


def _small_quantities(frame: pd.DataFrame) -> pd.DataFrame:
    lines = frame.assign(total=frame["l_quantity"] * frame["lines"])
    of_part = lines.groupby("p_number")[["total", "lines"]].transform("sum")
    # Less than a fifth of the mean, without a division: five times as much is less than total / lines.
    is_small = 5 * lines["l_quantity"] * of_part["lines"] < of_part["total"]
    price = lines.loc[is_small, "price"]
    return pd.DataFrame({"avg_yearly": [float(price.sum()) / 7.0 if len(price) else None]})


def _large_orders(frame: pd.DataFrame) -> pd.DataFrame:
    ordered = _sorted("-o_totalprice", "o_orderdate", limit=100)(frame)
    ordered.insert(1, "c_custkey", _number_in(ordered["c_name"]))
    return ordered


def _excess_stock(frame: pd.DataFrame) -> pd.DataFrame:
    excess = frame[frame["ps_availqty"] * 2 > frame["shipped"]]
    return _sorted("s_name")(excess[["s_name", "s_address"]].drop_duplicates())


_STEPS: Final[Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "q01": _sorted("l_returnflag", "l_linestatus"),
    "q02": _cheapest_offers,
    "q03": _sorted("-revenue", "o_orderdate", limit=10),
    "q04": _sorted("o_orderpriority"),
    "q05": _sorted("-revenue"),
    "q06": _sorted("revenue"),
    "q07": _sorted("supp_nation", "cust_nation", "l_year"),
    "q08": _market_share,
    "q09": _sorted("nation", "-o_year"),
    "q10": _returned_items,
    "q12": _sorted("l_shipmode"),
    "q14": _promotion,
    "q15": _top_supplier,
    "q16": _sorted("-supplier_cnt", "p_brand", "p_type", "p_size"),
    "q17": _small_quantities,
    "q18": _large_orders,
    "q19": _sorted("revenue"),
    "q20": _excess_stock,
    "q21": _sorted("-numwait", "s_name", limit=100),
}
