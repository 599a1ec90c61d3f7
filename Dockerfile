# syntax=docker/dockerfile:1.7
# One program, built here, in an image without a shell, run by nobody in particular. It fetches nothing at run time but what a campaign names.
# `docker build -t sluice:0.1.0 .` needs BuildKit, whose cache mounts keep registry and target folder between builds.

# The same version as rust-version in Cargo.toml. Pin both images by digest for a release: --build-arg BUILD=rust@sha256:… RUNTIME=…
ARG BUILD=rust:1.95-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD} AS build
WORKDIR /source
COPY . .
# The target folder is a mount and gone after this line: the program is copied out of it. The empty folder gives a fresh volume its owner.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --release --locked -p sluice \
    && cp target/release/sluice /sluice \
    && mkdir /empty

FROM ${RUNTIME}
COPY --from=build /sluice /usr/local/bin/sluice
COPY --from=build --chown=65532:65532 /empty /var/lib/sluice/corpora
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/sluice"]
