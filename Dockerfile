# One image with both programs: turnpike-gateway (the default) and turnpike-operator. Smaller to build, scan and mirror than
# two, and no gateway can run beside an operator of another version by mistake.
#
#   docker build -t registry.example.com/turnpike:0.1.0 .
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Half an hour on two cores: the gateway is built twice, the second time for what ran in the first (docs/adr/0032).
RUN rustup component add llvm-tools \
    && bench/release /out turnpike-gateway turnpike-operator \
    && strip /out/turnpike-gateway /out/turnpike-operator

# glibc, libgcc, CA certificates, a user 65532; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/turnpike-gateway /out/turnpike-operator /usr/bin/
USER 65532:65532
EXPOSE 4000 4001
ENTRYPOINT ["/usr/bin/turnpike-gateway"]
