"""Clinic: a hospital and an insurer compare stays by care programme, with noise over every figure."""
