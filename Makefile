# edgeseg: `make demo` and `make test` need Python 3.10 to 3.13 and make; the rest is installed into .venv.
PYTHON ?= python3
# Wheel index for torch; empty: chosen by ci/install-torch.sh, which never pulls CUDA packages onto a machine without a GPU.
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

# The CUDA test double and pycuda's wheel (tests/cuda_double); only where nvcc is, and then kept.
CUDA_HOME ?= /usr/local/cuda
CUDA_DOUBLE := .cache/cuda-double
HAS_NVCC := $(wildcard $(CUDA_HOME)/bin/nvcc)

# The versions of TensorRT by whose stubs the calls are checked (ci/tensorrt-stubs).
TENSORRT_STUBS := 10.3.0 10.13.0.35 11.4.0.106

# For every program that a target starts; edgeseg sets it itself, too (edgeseg/third_parties.py).
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo docs test test-all test-more test-base test-oldest test-foreign peers older-processor test-older-processor test-cuda-double cuda-double gpu gpu-wheels lint \
	tensorrt-types format system-packages clean

demo: $(INSTALLED)
	$(BIN)/edgeseg demo --out demo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not long and not gpu"
	$(MAKE) test-cuda-double

test-all: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not gpu"
	$(MAKE) test-cuda-double

# The long tests that continuous integration runs, too: wheel, site, clusters, servers, every network; some minutes.
MORE := tests/train/test_architecture_exports.py tests/core/test_distribution.py tests/docs/test_site.py tests/models tests/deploy tests/runtime/batch \
	tests/cli/test_batch_leaves_nothing.py tests/train/test_several_nodes.py tests/train/studies/test_postgresql_storage.py
test-more: $(INSTALLED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "long and not gpu" $(MORE)

# The base install alone, as on an edge box: no torch.
test-base:
	$(PYTHON) -m venv .venv-base
	.venv-base/bin/pip install --editable '.[dev-base]'
	.venv-base/bin/python -m pytest -m "not long and not gpu"

# The oldest versions that pyproject.toml allows, on Python 3.11 or 3.12.
test-oldest:
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	ci/install-torch.sh .venv-oldest/bin/pip $(TORCH_INDEX)
	.venv-oldest/bin/pip install --constraint ci/oldest.txt --editable '.[train,rtx,openvino,bench,web,dicom,sign,cluster,storage,dev]'
	.venv-oldest/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not long and not gpu"

# Networks of other packages (tests/export/test_networks_of_packages.py) with the versions of ci/foreign.txt; ten minutes.
# ultralytics comes without what it needs, which is a second OpenCV; torchvision works with its own torch only.
FOREIGN := .venv-foreign/bin
test-foreign:
	test -x $(FOREIGN)/python || $(PYTHON) -m venv .venv-foreign
	CONSTRAINTS=ci/foreign.txt ci/install-torch.sh $(FOREIGN)/pip $(TORCH_INDEX)
	$(FOREIGN)/pip install --constraint ci/foreign.txt --editable '.[train,rtx,dev]' \
		segmentation-models-pytorch transformers timm einops requests
	$(FOREIGN)/pip install --constraint ci/foreign.txt --no-deps ultralytics ultralytics-thop
	$(FOREIGN)/python -m pytest tests/export/test_networks_of_packages.py -rs --junitxml .cache/foreign.xml

# The quantisers that benchmarks/int8_peers.py holds edgeseg's against, each with its own versions.
peers:
	test -x .venv-modelopt/bin/python || $(PYTHON) -m venv .venv-modelopt
	CONSTRAINTS=ci/peers-modelopt.txt ci/install-torch.sh .venv-modelopt/bin/pip $(TORCH_INDEX)
	.venv-modelopt/bin/pip install --constraint ci/peers-modelopt.txt 'nvidia-modelopt[onnx]'
	test -x .venv-nncf/bin/python || $(PYTHON) -m venv .venv-nncf
	.venv-nncf/bin/pip install --requirement ci/peers-nncf.txt

# As on a processor with AVX2 alone, whatever this one has (tests/older_processor).
older-processor: $(INSTALLED)
	$(BIN)/python tests/older_processor/build.py .cache/older-processor

test-older-processor: older-processor
	tests/older_processor/as_avx2 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not long and not gpu"

# In a pytest of its own: the double stands in for libcuda, of which there is one a process.
test-cuda-double: $(if $(HAS_NVCC),cuda-double)
	EDGESEG_CUDA_DOUBLE=$(CUDA_DOUBLE) $(BIN)/python -m pytest tests/cuda tests/gpu

cuda-double: $(INSTALLED)
	tests/cuda_double/build.sh $(CUDA_DOUBLE)
	$(BIN)/pip install --quiet --constraint constraints.txt 'cuda-bindings>=13,<14' mako platformdirs pytools
	tests/cuda_double/build_pycuda.sh $(BIN)/python $(CUDA_DOUBLE) $(CUDA_DOUBLE)/wheels

# On a machine with an NVIDIA GPU: tests and benchmarks of the CUDA runtime, in under ten minutes. Needs no .venv.
GPU_LIMIT_S ?= 570
GPU_WHEELS ?= wheels
gpu:
	$(PYTHON) ci/gpu.py --limit-s $(GPU_LIMIT_S) --wheels $(GPU_WHEELS)

# What `make gpu` needs where there is no network; here, for Python $(GPU_PYTHON_VERSION) on x86-64.
GPU_PYTHON_VERSION ?= 3.12
GPU_PYTHON ?= python$(GPU_PYTHON_VERSION)
gpu-wheels: $(if $(HAS_NVCC),cuda-double)
	ci/gpu-wheels.sh wheels $(GPU_PYTHON_VERSION) $(GPU_PYTHON) $(CUDA_DOUBLE)

lint: $(INSTALLED) tensorrt-types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The calls of TensorRT against the stubs of each version; every one sees TensorRT-RTX's as well.
tensorrt-types: $(TENSORRT_STUBS:%=tensorrt-types-%)

tensorrt-types-%: $(INSTALLED)
	MYPYPATH=ci/tensorrt-stubs/$*:ci/tensorrt-stubs/rtx-1.7.1.116 $(BIN)/mypy --config-file ci/mypy-tensorrt.ini \
		--cache-dir .mypy_cache/tensorrt-$* edgeseg/export/builders edgeseg/export/layers edgeseg/runtime/cuda/tensorrt_engine.py \
		edgeseg/runtime/cuda/tensorrt_module.py

# The documentation site, into site/; `NO_MKDOCS_2_WARNING` silences an advertisement of the theme.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml constraints.txt ci/install-torch.sh
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	ci/install-torch.sh $(BIN)/pip $(TORCH_INDEX)
	$(BIN)/pip install --constraint constraints.txt --editable '.[train,rtx,openvino,bench,web,dicom,sign,cluster,storage,docs,dev]'
	touch $@

system-packages:
	apt-get update
	apt-get install --yes --no-install-recommends $$(grep -v '^#' ci/apt.txt)

clean:
	rm -rf $(VENV) .venv-base .venv-oldest .venv-foreign .venv-modelopt .venv-nncf demo build site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
