SELECT p_number, l_quantity, SUM(l_extendedprice) AS price, COUNT(*) AS lines
FROM lineitem
JOIN part ON p_partkey = l_partkey
WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'
GROUP BY p_number, l_quantity
