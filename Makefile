# Short names for the commands people and CI run; the work is in CMakePresets.json and scripts/.
.DEFAULT_GOAL := help
.PHONY: help demo test stress parity bench networks deb wheel lint format
export CTEST_PARALLEL_LEVEL ?= $(shell nproc)

help: ## list these targets
	@awk -F ': ## ' '/^[a-z]+: ## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: ## install what is needed, build, and quantize and run two real networks
	@scripts/install-deps
	@cmake --workflow --preset release
	@scripts/demo

test: ## install what is needed, build, and run every test
	@scripts/install-deps --mpi
	@scripts/python-env
	@cmake --workflow --preset dev

stress: ## compare 100,000 random convolutions with the reference, on every instruction set, for minutes
	@scripts/install-deps --mpi
	@scripts/python-env
	@cmake --preset dev
	@cmake --build --preset dev --target stress

parity: ## compare 30,000 random cases with PyTorch's results, byte by byte (QCONV_PYTHON: a Python that has torch)
	@scripts/install-deps --mpi
	@scripts/python-env
	@cmake --preset dev
	@cmake --build --preset dev --target _qconv
	@scripts/parity

bench: ## build, and time every layer next to the peers that are installed
	@scripts/install-deps --bench
	@cmake --workflow --preset release
	@scripts/bench

networks: ## build, and put real networks of PyTorch through quantize, compare and run (QCONV_PYTHON: a Python that has torch)
	@scripts/install-deps
	@cmake --workflow --preset release
	@scripts/networks

deb: ## build a Debian package of the program, the library and its headers, in build/packages
	@scripts/install-deps
	@cmake --workflow --preset deb

wheel: ## build the Python package's wheel, in build/packages
	@scripts/install-deps
	@scripts/python-env
	@build/python-env/bin/python -m pip wheel --no-build-isolation --no-deps --quiet -w build/packages .
	@ls build/packages/*.whl

lint: ## check style, and run the static checkers
	@scripts/install-deps --lint --mpi
	@scripts/lint

format: ## rewrite the C++ sources in the project's style
	@scripts/install-deps --lint
	@git ls-files '*.cpp' '*.hpp' | xargs clang-format -i
