# Build:  docker build -t portcullis .
# Run:    docker run -p 8080:8080 -v ./deploy:/etc/portcullis:ro -v portcullis:/var/lib/portcullis portcullis
#
# ./deploy holds gateway.yaml and what it names. In it, listen on 0.0.0.0 and set
# `data_directory: /var/lib/portcullis`; leave `admin` on its loopback default, or give it a token.

FROM rust:1.95-bookworm AS builder
# hadolint ignore=DL3008 # Debian's stable release pins what matters; an exact version would vanish with the next fix.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies take minutes and change seldom: a layer of their own, built for empty programs.
# cargo wants to see a file for every target that Cargo.toml names.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests benches/peers \
    && touch src/lib.rs tests/tests.rs benches/decision.rs benches/peers/bare_proxy.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --bin portcullis

# Copied files keep their age; cargo would take those for older than what it has just built.
COPY src src
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bin portcullis \
    && test -n "$(target/release/portcullis --version)"


FROM debian:bookworm-slim
# hadolint ignore=DL3008 # As above.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 portcullis \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin portcullis \
    && install --directory --mode 0700 --owner 10001 --group 10001 /var/lib/portcullis \
    && install --directory --mode 0755 /etc/portcullis
COPY --from=builder /build/target/release/portcullis /usr/local/bin/portcullis

USER 10001:10001
WORKDIR /etc/portcullis
# The embedded store: who loses it loses revocations.
ENV PORTCULLIS_DATA_DIRECTORY=/var/lib/portcullis
VOLUME /var/lib/portcullis
EXPOSE 8080 9901
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["portcullis", "health", "--config", "/etc/portcullis/gateway.yaml"]
ENTRYPOINT ["portcullis"]
CMD ["serve", "--config", "/etc/portcullis/gateway.yaml"]
