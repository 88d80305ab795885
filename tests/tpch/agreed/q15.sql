SELECT s_name, s_address, s_phone, SUM(l_extendedprice * (1 - l_discount)) AS total_revenue
FROM supplier
JOIN lineitem ON s_suppkey = l_suppkey
WHERE l_shipdate >= DATE '1996-01-01'
  AND l_shipdate < DATE '1996-01-01' + INTERVAL '3' MONTH
GROUP BY s_name, s_address, s_phone
