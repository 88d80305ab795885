SELECT s_name, COUNT(*) AS numwait
FROM (
    SELECT l_orderkey, l_suppkey, is_late,
           dense_rank() OVER (PARTITION BY l_orderkey ORDER BY l_suppkey) AS up,
           dense_rank() OVER (PARTITION BY l_orderkey ORDER BY l_suppkey DESC) AS down,
           dense_rank() OVER (PARTITION BY l_orderkey ORDER BY is_late DESC, l_suppkey) AS late_up,
           dense_rank() OVER (PARTITION BY l_orderkey ORDER BY is_late DESC, l_suppkey DESC) AS late_down
    FROM (
        SELECT l_orderkey, l_suppkey, CASE WHEN l_receiptdate > l_commitdate THEN 1 ELSE 0 END AS is_late
        FROM lineitem
    ) AS lines
) AS ranked
JOIN orders ON o_orderkey = ranked.l_orderkey
JOIN supplier ON s_suppkey = ranked.l_suppkey
JOIN supplier_nation ON s_nationkey = n_nationkey
WHERE o_orderstatus = 'F'
  AND n_name = 'SAUDI ARABIA'
  AND is_late = 1 AND late_up = 1 AND late_down = 1
  AND NOT (up = 1 AND down = 1)
GROUP BY s_name
