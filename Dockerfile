# By digest: a tag may point to another image tomorrow. docs/security.md says how to renew it.
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS base

# The wheel, with the accelerator, which takes a C compiler.
FROM base AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

# A worker (and, with another command, the generator): no Java, no build tools.
FROM base
WORKDIR /srv/reels
COPY requirements-run.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-run.lock
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl \
 && useradd --system --home /var/lib/reels --create-home reels
USER reels
VOLUME /var/lib/reels
ENV APP_DATADIR=/var/lib/reels
EXPOSE 6066
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('WEB_PORT', '6066')), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["faust", "-A", "app"]
CMD ["worker", "-l", "info"]
