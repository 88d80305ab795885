# The same image file as `make image` gives, byte for byte, for people who build with Docker:
#
#     docker build --output type=local,dest=build/image .
#
# and then `nitro-cli run-enclave --eif-path build/image/concordat.eif ...` on the parent instance. Nothing of
# this container is in the image: it is where the build runs. Why not `nitro-cli build-enclave`: decision 0031.
FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends \
    ca-certificates make python3 python3-pip python3-venv util-linux
COPY . /concordat
WORKDIR /concordat
RUN make image

FROM scratch
COPY --from=build /concordat/build/image/ /
