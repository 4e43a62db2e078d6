# The call server as an image. Your own handler: build on it.
#
#     FROM callpath
#     COPY mybot.py .
#     CMD ["callpath", "serve", "mybot:app"]

# Not the slim one: it has the C compiler, with which the way of a frame is compiled: more calls fit on a core.
FROM python:3.13 AS build
ENV HATCH_BUILD_HOOK_ENABLE_MYPYC=true
RUN python3 -m venv /opt/callpath
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/callpath/bin/pip install --no-cache-dir --disable-pip-version-check '.[codecs,otel,postgres,s3]'
# What cannot carry a call does not become an image.
RUN /opt/callpath/bin/callpath demo

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin callpath
COPY --from=build /opt/callpath /opt/callpath
ENV PATH=/opt/callpath/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    CALLPATH_DATA_DIR=/data
WORKDIR /data
# A platform's volume belongs to root when it is mounted; there the image has to run as root (Railway: RAILWAY_RUN_UID=0).
USER callpath
EXPOSE 8000
# SIGTERM drains. Exec form: a shell in between would keep the signal to itself.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz', timeout=2)"]
CMD ["callpath", "serve"]
