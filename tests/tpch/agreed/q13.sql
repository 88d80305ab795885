SELECT c_count, COUNT(*) AS custdist
FROM (
    SELECT c_custkey, COUNT(o_number) AS c_count
    FROM customer
    LEFT JOIN (
        SELECT o_custkey, o_number FROM orders WHERE o_comment NOT LIKE '%special%requests%'
    ) AS o ON c_custkey = o.o_custkey
    GROUP BY c_custkey
) AS c_orders
GROUP BY c_count
