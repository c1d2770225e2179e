# docker build --target cpu -t zncc-cli .
# docker build --target cuda -t zncc-cli:cuda .
# docker run --rm -v "$PWD:/data" zncc-cli zncc-align fixed.tif moving.tif        (--gpus all for cuda)

FROM python:3.12-slim-bookworm AS wheel
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir "hatchling>=1.25" numpy setuptools
COPY . /source
WORKDIR /source
RUN ZNCC_WHEEL_KERNELS=all python -m hatchling build -t wheel -d /wheels

# Compiled kernels, and no compiler.
FROM python:3.12-slim-bookworm AS cpu
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir /wheels/*.whl imagecodecs zarr \
    && zncc doctor
WORKDIR /data
CMD ["zncc", "--help"]

# nvcc compiles the CUDA kernels at first use, for the card that is there: keep /cache in a volume. Its major version must be
# that of torch's CUDA.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS cuda
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/zncc
ENV PATH=/opt/zncc/bin:$PATH ZNCC_CACHE_DIR=/cache
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cu130
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir /wheels/*.whl imagecodecs zarr
VOLUME /cache
WORKDIR /data
CMD ["zncc", "--help"]
