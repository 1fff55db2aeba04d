# The wheel, with the accelerator: this image has a C compiler.
FROM python:3.12 AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

# A worker (and, with another command, the generator): no Java, no build tools.
FROM python:3.12-slim
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
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('WEB_PORT', '6066') + '/healthz', timeout=2)"]
ENTRYPOINT ["faust", "-A", "app"]
CMD ["worker", "-l", "info"]
