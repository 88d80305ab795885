"""What an enclave of given data needs, which EC2 instances hold it, and what that costs.

`requirement` says how much memory and how many processors, `instances` reads the user's file of instance
types and prices, `fit` decides which of them hold it, `shown` is how the answer looks, `command` is
`concordat coordinator plan`. Nothing here asks AWS anything.
"""
