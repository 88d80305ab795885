"""Offline parties: two owners whose KMS let go of their keys to an enclave that neither has met."""
