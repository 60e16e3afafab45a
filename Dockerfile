# The light tier with `recyclenet serve`: no PyTorch. Build: docker build -t recyclenet .
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements/serve.txt requirements/
RUN python -m venv /opt/recyclenet \
    && /opt/recyclenet/bin/pip install --no-cache-dir --require-hashes -r requirements/serve.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY src src
COPY samples samples
RUN /opt/recyclenet/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
RUN useradd --system --no-create-home --uid 10001 recyclenet
COPY --from=build /opt/recyclenet /opt/recyclenet
ENV PATH=/opt/recyclenet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://localhost:8000/livez', timeout=4)"]
# It refuses to start without a token: set RECYCLENET_TOKEN or give --token-file.
ENTRYPOINT ["recyclenet", "serve", "--host", "0.0.0.0"]
