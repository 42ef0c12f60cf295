#!/bin/sh
# Fuzzes one target, or all, with the stable toolchain:  tests/fuzz/run.sh [TARGET|all] [SECONDS]
# Targets: scan frame hocuspocus control state_vector awareness document. New inputs are kept in tests/fuzz/found/, failing
# ones in tests/fuzz/artifacts/. Reports executions per second.
set -eu
cd "$(dirname "$0")"
target=${1:-all}
seconds=${2:-60}
host=$(rustc -vV | sed -n 's/^host: //p')

if [ "$target" = all ]; then
    for each in scan frame hocuspocus control state_vector awareness document; do "./run.sh" "$each" "$seconds"; done
    exit 0
fi

features=
[ "$target" = document ] && features="--features document"

# libFuzzer's coverage without nightly: the compiler pass is in stable, only cargo-fuzz's flag for it is not.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
# shellcheck disable=SC2086
cargo build --quiet --release --target "$host" --bin "$target" $features

mkdir -p "found/$target" "artifacts/$target"
built=${CARGO_TARGET_DIR:-target}/$host/release/$target
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
"$built" "found/$target" "corpus/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -malloc_limit_mb=512 -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
    tail -n 30 "$log"
    exit "$status"
fi
executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
per_second=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
echo "$target: $executions executions, $per_second a second, nothing found"
