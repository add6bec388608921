# One image for nodes, for the `coord` command and for the console.
#
#   docker build --tag coord:0.1.0 .
#   docker run --rm coord:0.1.0 --help
#
# BASE has Python 3.11 or later as `python3`, with venv. Nothing here needs BuildKit.
ARG BASE=python:3.13.9-slim-trixie

FROM ${BASE} AS build
# For who has packages from elsewhere; no credentials in it: it stays in the history of the build.
ARG PIP_INDEX_URL
WORKDIR /src
# pip and what makes the wheel are in /tools and stay behind; what runs is in /opt/coord.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/coord
COPY requirements/build.txt requirements/console.txt requirements/
RUN /tools/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt && \
    /tools/bin/pip --python /opt/coord/bin/python install --no-cache-dir --no-compile \
      --require-hashes -r requirements/console.txt && \
    /opt/coord/bin/python -m compileall -q /opt/coord/lib
COPY pyproject.toml README.md LICENSE ./
COPY coord coord
COPY console console
COPY runbooks runbooks
RUN /tools/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheel . && \
    /tools/bin/pip --python /opt/coord/bin/python install --no-cache-dir --no-deps /wheel/*.whl
COPY deploy/docker/health.py /opt/coord/health.py

FROM ${BASE}
ARG REVISION=""
LABEL org.opencontainers.image.title="coord" \
      org.opencontainers.image.description="Leader election and coordination on Consul" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 coord && \
    useradd --uid 10001 --gid coord --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin coord
COPY --from=build /opt/coord /opt/coord
ENV PATH=/opt/coord/bin:$PATH LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /
EXPOSE 8610
STOPSIGNAL SIGTERM
# Whether it lives, not whether it can take part: what restarts an unhealthy container (Docker's own
# engine does not) must not restart a whole fleet because Consul is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/opt/coord/bin/python", "-I", "/opt/coord/health.py", "live"]
ENTRYPOINT ["coord"]
CMD ["node"]
