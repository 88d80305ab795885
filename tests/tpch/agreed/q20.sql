SELECT s_name, s_address, p_number, ps_availqty, SUM(l_quantity) AS shipped
FROM lineitem
JOIN partsupp ON ps_partkey = l_partkey AND ps_suppkey = l_suppkey
JOIN part ON p_partkey = ps_partkey
JOIN supplier ON s_suppkey = ps_suppkey
JOIN supplier_nation ON n_nationkey = s_nationkey
WHERE p_name LIKE 'forest%'
  AND n_name = 'CANADA'
  AND l_shipdate >= DATE '1994-01-01'
  AND l_shipdate < DATE '1994-01-01' + INTERVAL '1' YEAR
GROUP BY s_name, s_address, p_number, ps_availqty
