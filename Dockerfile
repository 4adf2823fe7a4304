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
# Not by urllib, which would ask the proxy of HTTP_PROXY where there is one.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=2); c.request('GET', '/readyz'); exit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["detector", "serve", "--host", "0.0.0.0"]
CMD ["shipped"]
