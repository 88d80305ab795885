SELECT ps_partkey, SUM(ps_supplycost * CAST(ps_availqty AS decimal(6, 0))) AS value
FROM partsupp
JOIN supplier ON ps_suppkey = s_suppkey
JOIN supplier_nation ON s_nationkey = n_nationkey
WHERE n_name = 'GERMANY'
GROUP BY ps_partkey
