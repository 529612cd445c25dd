# The runtime's image with the packages that `transformers serve` wants besides: a server of another make.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER 0
RUN --mount=type=bind,source=dev.lock,target=/locks/dev.lock \
    awk '/^[a-z]/ { wanted = /^(openai|httpx2|httpcore2|jiter|sniffio|truststore)==/ } wanted' /locks/dev.lock > /tmp/serve.lock \
    && /usr/bin/python3 -m venv /tmp/pip \
    && /tmp/pip/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
       --target "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" -r /tmp/serve.lock \
    && rm -r /tmp/pip /tmp/serve.lock
USER 65532:65532
ENTRYPOINT ["transformers", "serve"]
