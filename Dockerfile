FROM python:3.11.15-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000
# Since it listens on all addresses, it starts only with VALID_API_KEYS, or with GATEWAY_AUTH=off.

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY app.py wsgi.py gunicorn.conf.py ./
COPY gateway gateway

# /app is root's; the folder of GATEWAY_DATA is the only one that the gateway writes to.
RUN useradd --system --no-create-home --home-dir /app --shell /usr/sbin/nologin pointsman \
    && install --directory --owner=pointsman data
USER pointsman

EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=4)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
