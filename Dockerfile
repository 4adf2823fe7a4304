# Reading and `detector serve`, without torch. Run it with a read-only file system: it writes nothing.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY detector detector
RUN python -m venv /opt/detector \
 && /opt/detector/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.11-slim
COPY --from=build /opt/detector /opt/detector
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin detector
USER 10001
ENV PATH=/opt/detector/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["detector", "serve", "--host", "0.0.0.0"]
CMD ["shipped"]
