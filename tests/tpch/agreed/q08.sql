SELECT EXTRACT(year FROM o_orderdate) AS o_year,
       SUM(CASE WHEN n2.n_name = 'BRAZIL' THEN l_extendedprice * (1 - l_discount) ELSE 0 END) AS brazil,
       SUM(l_extendedprice * (1 - l_discount)) AS volume
FROM part
JOIN lineitem ON p_partkey = l_partkey
JOIN supplier ON s_suppkey = l_suppkey
JOIN orders ON l_orderkey = o_orderkey
JOIN customer ON o_custkey = c_custkey
JOIN customer_nation AS n1 ON c_nationkey = n1.n_nationkey
JOIN customer_region ON n1.n_regionkey = r_regionkey
JOIN supplier_nation AS n2 ON s_nationkey = n2.n_nationkey
WHERE r_name = 'AMERICA'
  AND o_orderdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31'
  AND p_type = 'ECONOMY ANODIZED STEEL'
GROUP BY o_year
