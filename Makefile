# Two commands do all set-up on a machine with Python 3.11, git and make: `make demo`, `make test`.

.PHONY: help demo test clean

help:
	@echo "make demo    compile a trained model for three kinds of device and compare them"
	@echo "make test    check style and types, and run the tests"
	@echo "make clean   remove everything that make created"

demo:
	@sh scripts/make_venv.sh demo
	.venv/bin/edgecomp demo

test:
	@sh scripts/debian_packages.sh qemu-system-arm qemu-user openssh-server \
		gcc g++ cmake gcc-arm-none-eabi
	@sh scripts/make_venv.sh demo tflite dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -n 2

clean:
	rm -rf .venv demo-out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
