"""Runnable joint computations, the simulated Nitro machine, the hostile parent: none of it ships."""
