SELECT COUNT(*) AS customers FROM customer
