"""How the measured image is made, looked into and released; none of this is in the image.

It runs where somebody builds an image or checks one, so it may show progress, start programs and fetch
packages, which nothing else in `enclave_compute` may. No role imports it; its commands are `concordat
image`. `eif` is the image file itself.
"""
