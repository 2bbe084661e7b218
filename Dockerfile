# One image with both programs: turnpike-gateway (the default) and turnpike-operator. Smaller to build, scan and mirror than
# two, and no gateway can run beside an operator of another version by mistake.
#
#   docker build -t registry.example.com/turnpike:0.1.0 .
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p turnpike-gateway -p turnpike-operator \
    && strip target/release/turnpike-gateway target/release/turnpike-operator

# glibc, libgcc, CA certificates, a user 65532; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/turnpike-gateway /src/target/release/turnpike-operator /usr/bin/
USER 65532:65532
EXPOSE 4000 4001
ENTRYPOINT ["/usr/bin/turnpike-gateway"]
