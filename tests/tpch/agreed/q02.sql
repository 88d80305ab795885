SELECT s_acctbal, s_name, n_name, p_number, p_mfgr, s_address, s_phone, s_comment, ps_supplycost
FROM partsupp
JOIN part ON p_partkey = ps_partkey
JOIN supplier ON s_suppkey = ps_suppkey
JOIN supplier_nation ON n_nationkey = s_nationkey
JOIN supplier_region ON r_regionkey = n_regionkey
WHERE p_size = 15 AND p_type LIKE '%BRASS' AND r_name = 'EUROPE'
GROUP BY s_acctbal, s_name, n_name, p_number, p_mfgr, s_address, s_phone, s_comment, ps_supplycost
