#!/usr/bin/env bash
# Builds llama.cpp's own server, llama-server, once per machine and prints the folder that holds it.
#
# The sources are those that llama-cpp-python's source package carries: the same engine as in tests/engine, behind the
# program that its users run. As in engine-wheel.sh the tests need a real engine, not a fast one: no CPU extensions, and only
# what is written in C, its arithmetic, is optimised. The web page, TLS and child processes are left out. Most of the time went into
# reading the same headers again for each of 200 files, so the parts with many small files are compiled in one piece each.
# Usage: llama-server.sh VERSION (of llama-cpp-python)
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

version="$1"
folder="$CACHE/llama-server/$(content_key "$0" -- "$version" "$(uname -m)")"

build() {
    local off options work status=0
    echo "building llama-server of llama.cpp (about two minutes, once per machine)" >&2
    work="$(mktemp -d)"
    off=(GGML_NATIVE GGML_SSE42 GGML_AVX GGML_AVX2 GGML_BMI2 GGML_FMA GGML_F16C GGML_LLAMAFILE GGML_CPU_REPACK GGML_OPENMP
        GGML_CCACHE BUILD_SHARED_LIBS LLAMA_OPENSSL LLAMA_USE_PREBUILT_UI LLAMA_BUILD_UI LLAMA_SUBPROCESS LLAMA_BUILD_TESTS
        LLAMA_BUILD_EXAMPLES LLAMA_BUILD_APP LLAMA_TOOLS_INSTALL)
    options=("${off[@]/#/-D}")
    options=("${options[@]/%/=OFF}" "-DCMAKE_PROJECT_llama.cpp_INCLUDE=$work/pieces.cmake")
    # Three files cannot be together with their neighbours: two may not see internal headers, one defines a name anew.
    cat >"$work/pieces.cmake" <<'END'
cmake_language(DEFER CALL set_target_properties llama-common mtmd server-context
    PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 30)
cmake_language(DEFER CALL set_source_files_properties
    ${CMAKE_CURRENT_SOURCE_DIR}/common/json.cpp
    TARGET_DIRECTORY llama-common PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
cmake_language(DEFER CALL set_source_files_properties
    ${CMAKE_CURRENT_SOURCE_DIR}/tools/mtmd/mtmd-helper.cpp ${CMAKE_CURRENT_SOURCE_DIR}/tools/mtmd/mtmd-helper-gen.cpp
    TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
END
    {
        timeout 600 python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir \
            --no-binary llama-cpp-python -d "$work" "llama-cpp-python==$version" &&
            tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work" --strip-components=1 &&
            cmake -S "$work/vendor/llama.cpp" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
                -DCMAKE_C_FLAGS_RELEASE=-O2 -DCMAKE_CXX_FLAGS_RELEASE=-O0 "${options[@]}" &&
            timeout 1200 cmake --build "$work/build" --target llama-server --parallel "$(nproc)" &&
            strip -o "$folder/llama-server" "$work/build/bin/llama-server"
    } >"$folder/log" 2>&1 || status=$?
    rm -rf "$work"
    [ "$status" = 0 ] || tail -n 20 "$folder/log" >&2
    return "$status"
}

once "$folder" build || fail "could not build llama-server of llama-cpp-python $version"
echo "$folder"
