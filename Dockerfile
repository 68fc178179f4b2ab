# Both roles are this one image: `setup` as init container, `healthd` as sidecar, and both one
# after the other when it is started without arguments. Build it with `make image`.

FROM debian:trixie-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      gcc libbsd-dev libc6-dev libip4tc-dev libip6tc-dev libiptc-dev libmd-dev libnftables-dev \
      libseccomp-dev libssl-dev make \
      pkg-config python3-venv
# A wheel for each: nothing that comes from the index is executed here.
COPY requirements.txt /src/
RUN python3 -m venv /opt/mitmproxy \
 && /opt/mitmproxy/bin/pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
      -r /src/requirements.txt \
 && /opt/mitmproxy/bin/pip uninstall -y pip
# mitmdump is as it was published. What stands beside it and is not part of it goes: the other
# programs, the web interface's pages, the helper of local mode, tests, sources of extensions
# and their symbols.
WORKDIR /opt/mitmproxy
RUN find bin -type f ! -name mitmdump -delete \
 && rm -r include lib/python3*/site-packages/mitmproxy/tools/web/static \
 && find lib -depth -type d \( -name test -o -name tests \) ! -path '*/mitmproxy/*' -exec rm -r {} + \
 && find lib -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete \
 && find lib -type f -name '*.so' -exec strip --strip-unneeded {} +
# Without byte code on disk every start takes a second longer, and on a read-only root none is
# ever written. It is not compared with its source again: nothing here changes.
COPY Makefile entrypoint.sh LICENSE /src/
COPY common /src/common
COPY setup /src/setup
COPY healthd /src/healthd
COPY mitmscripts /src/mitmscripts
RUN make -s -C /src -j "$(nproc)" install DESTDIR=/out \
 && strip --strip-unneeded /out/usr/local/sbin/setup /out/usr/local/sbin/healthd /out/usr/local/libexec/opensandbox-egress/* \
 && install -D -m 0644 /src/LICENSE /out/usr/share/doc/opensandbox-egress/copyright \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash lib /out/opt

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates libbsd0 libip4tc2 libip6tc2 libmd0 libnftables1 libpython3-stdlib libseccomp2 \
      libssl3t64 python3-minimal \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 10042 mitmproxy \
 && useradd --uid 10042 --gid mitmproxy --home-dir /var/lib/mitmproxy --create-home --shell /usr/sbin/nologin mitmproxy \
 && ln -s /opt/mitmproxy/bin/mitmdump /usr/local/bin/mitmdump
COPY --from=build /opt/mitmproxy /opt/mitmproxy
COPY --from=build /out /

ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="OpenSandbox egress" \
      org.opencontainers.image.description="Transparent interception of a pod's outbound HTTP and HTTPS by mitmdump" \
      org.opencontainers.image.licenses="MIT AND GPL-2.0-only" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim"
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["healthd", "--probe"]
ENTRYPOINT ["/usr/local/sbin/entrypoint.sh"]
