#!/usr/bin/env bash
# Builds llama.cpp's Python package once per machine and prints the folder that holds the wheel.
#
# The tests need a real engine, not a fast one: no CPU extensions (so that the wheel runs on any
# x86-64 or arm64 machine that shares the cache), light optimisation, and none of the parts that the
# server does not load (multimodal, the command line tools' common library). That takes the build from
# a quarter of an hour to about two minutes on two cores. Usage: engine-wheel.sh VERSION
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

version="$1"
folder="$CACHE/wheels/$(content_key "$0" -- "$version" "$(python3 --version)" "$(uname -m)")"

build() {
    local off on
    echo "building llama.cpp $version (about two minutes, once per machine)" >&2
    # llama-cpp-python switches the common library on by force; this runs after that.
    # shellcheck disable=SC2016
    echo 'set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)' >"$folder/no-common.cmake"
    off=(LLAVA_BUILD GGML_NATIVE GGML_SSE42 GGML_AVX GGML_AVX2 GGML_BMI2 GGML_FMA GGML_F16C
        GGML_LLAMAFILE GGML_CPU_REPACK GGML_OPENMP GGML_CCACHE GGML_CUDA LLAMA_OPENSSL
        LLAMA_TOOLS_INSTALL)
    on=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O2 -DCMAKE_CXX_FLAGS_RELEASE=-O0
        "-DCMAKE_PROJECT_llama.cpp_INCLUDE=$folder/no-common.cmake")
    CMAKE_GENERATOR=Ninja CMAKE_ARGS="$(printf -- '-D%s=OFF ' "${off[@]}")${on[*]}" \
        timeout 1800 python3 -m pip wheel --quiet --disable-pip-version-check --no-deps \
        --no-binary llama-cpp-python --no-cache-dir \
        -C "build.targets=llama;ggml;ggml-base;ggml-cpu" \
        -w "$folder" "llama-cpp-python==$version" >&2
}

once "$folder" build || fail "could not build llama.cpp $version"
echo "$folder"
