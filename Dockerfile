# syntax=docker/dockerfile:1
# pgvigil and nothing else: no shell, no package, no root.
#
#   docker build --tag pgvigil .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag pgvigil .

# scripts/release-image adds their digests, so that a release says exactly what it is made of.
ARG BUILDER=rust:1.95-slim-bookworm
ARG BASE=gcr.io/distroless/static-debian12:nonroot

# Built on the machine's own platform for the asked one: nothing is emulated.
FROM --platform=$BUILDPLATFORM $BUILDER AS build
ARG BUILDARCH
ARG TARGETARCH
# The compiler's version is the image's; pinning the package's would break with each of Debian's updates.
# hadolint ignore=DL3008
RUN if [ "$BUILDARCH" != "$TARGETARCH" ]; then \
      apt-get update && \
      apt-get install --yes --no-install-recommends "crossbuild-essential-$TARGETARCH" && \
      rm -rf /var/lib/apt/lists/*; \
    fi
WORKDIR /pgvigil
COPY . .
# What was fetched and built stays for the next build: dependencies are compiled once.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/pgvigil/target,sharing=locked \
    scripts/build-release /out "$TARGETARCH" static

# Authorities for TLS, time zones, a user, and no more: 2 MB.
FROM $BASE
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pgvigil" \
      org.opencontainers.image.description="A Prometheus exporter for PostgreSQL, PgBouncer, Redis, backups and disks" \
      org.opencontainers.image.url="https://github.com/pgvigil/pgvigil" \
      org.opencontainers.image.source="https://github.com/pgvigil/pgvigil" \
      org.opencontainers.image.documentation="https://github.com/pgvigil/pgvigil#readme" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="$BASE"
COPY LICENSE-MIT LICENSE-APACHE /licenses/
COPY --from=build /out/pgvigil /pgvigil
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 9878
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 CMD ["/pgvigil", "check", "--health"]
ENTRYPOINT ["/pgvigil"]
