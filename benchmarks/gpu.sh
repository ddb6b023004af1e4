#!/usr/bin/env bash
# Measure actzoo on a machine with an NVIDIA GPU, and write one folder to commit.
#
#     benchmarks/gpu.sh [FOLDER]            reports/gpu if left out
#     DRY=1 benchmarks/gpu.sh [FOLDER]      print the commands and run nothing
#
# It runs the tests that need a GPU, every kernel against eager torch and torch.compile, and the
# paper's protocol on MNIST, by plain torch and by each kernel. A step that fails does not stop the
# others: FOLDER/steps.txt has the exit code and seconds of each, FOLDER/logs what it said, and the
# script ends with 1 if one failed. What is there is run again, but cells of MNIST that are done.
#
# PYTHON names the interpreter that actzoo is installed in with its test dependencies.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=${1:-reports/gpu}
python=${PYTHON:-python}
failed=0

if [ -z "${DRY:-}" ]; then
    if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
        echo "torch sees no CUDA device with $python; run this on a machine with an NVIDIA GPU" \
            "and a torch build for it, or name another interpreter by PYTHON=..." >&2
        exit 2
    fi
    mkdir -p "$folder/logs" || exit 2
    : > "$folder/steps.txt" || exit 2
fi

# step NAME COMMAND... : run it, and note its exit code and seconds.
step() {
    local name=$1 code started=$SECONDS
    shift
    echo "$name: $*"
    [ -n "${DRY:-}" ] && return
    "$@" > "$folder/logs/$name.txt" 2>&1
    code=$?
    echo "$name: exit code $code, $((SECONDS - started)) s: $*" >> "$folder/steps.txt"
    if [ "$code" -ne 0 ]; then
        failed=1
        echo "  failed with exit code $code: see $folder/logs/$name.txt" >&2
    fi
}

step environment "$python" -m actzoo env
step card nvidia-smi
step tests "$python" -m pytest -n 0 --slow -ra \
    tests/kernels/test_triton.py tests/kernels/test_fused_cuda.py tests/kernels/test_measured.py \
    tests/training/test_isolation.py
step speed "$python" -m actzoo speed --device cuda --set 1 --set 3 --set 20 \
    --dtypes float32,bfloat16,float16 --sizes '2^12,2^18,2^22,2^26' --compile 20 \
    --table operator,functions,step --out "$folder/speed"
for kernel in reference fused table; do
    step "mnist-$kernel" "$python" -m actzoo bench --set relu,tanh,sin --dataset mnist \
        --validation 0 --device cuda --kernel "$kernel" --out "$folder/mnist-$kernel"
done
for kernel in fused table; do
    step "compare-$kernel" "$python" -m actzoo compare \
        "$folder/mnist-reference" "$folder/mnist-$kernel" \
        --export-markdown "$folder/compare-$kernel.md"
done

[ -n "${DRY:-}" ] && exit 0
echo "commit $folder; what failed is in $folder/steps.txt"
exit "$failed"
