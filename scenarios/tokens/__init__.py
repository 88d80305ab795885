"""Tokens: two organisations replace e-mail addresses by tokens that match, under a key that neither has."""
