SELECT o_orderpriority, COUNT(*) AS order_count
FROM orders
JOIN (
    SELECT l_orderkey FROM lineitem WHERE l_commitdate < l_receiptdate GROUP BY l_orderkey
) AS late ON late.l_orderkey = o_orderkey
WHERE o_orderdate >= DATE '1993-07-01' AND o_orderdate < DATE '1993-07-01' + INTERVAL '3' MONTH
GROUP BY o_orderpriority
