SELECT c_name, o_number, o_orderdate, o_totalprice, SUM(big.quantity) AS quantity
FROM customer
JOIN orders ON c_custkey = o_custkey
JOIN (
    SELECT l_orderkey, SUM(l_quantity) AS quantity FROM lineitem GROUP BY l_orderkey
) AS big ON o_orderkey = big.l_orderkey
WHERE big.quantity > 300
GROUP BY c_name, o_number, o_orderdate, o_totalprice
