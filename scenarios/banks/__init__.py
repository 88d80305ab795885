"""Banks: three banks count the accounts that all of them know from fraud, without showing their lists."""
